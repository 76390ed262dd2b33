//! The plan handle: columns and handles cross, never an object per case.

use evalc_plan::fault::Fault;
use evalc_plan::plan;
use evalc_plan::texts::Texts;
use evalc_plan::tree;
use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::path::PathBuf;

create_exception!(_core, PlanFaults, PyException, "Faults of a plan's inputs, as a JSON list.");

/// Faults as the exception that carries them.
pub fn faults(faults: &[Fault]) -> PyErr {
    PlanFaults::new_err(serde_json::to_string(faults).unwrap_or_default())
}

fn le<'py, const N: usize, T: Copy>(
    py: Python<'py>,
    values: &[T],
    bytes: impl Fn(T) -> [u8; N],
) -> Bound<'py, PyBytes> {
    let flat: Vec<u8> = values.iter().flat_map(|v| bytes(*v)).collect();
    PyBytes::new(py, &flat)
}

fn u32s<'py>(py: Python<'py>, values: &[u32]) -> Bound<'py, PyBytes> {
    le(py, values, u32::to_le_bytes)
}

/// What remains to be asked.
#[pyclass(frozen)]
struct Plan {
    inner: std::sync::RwLock<plan::Plan>,
}

impl Plan {
    fn read(&self) -> std::sync::RwLockReadGuard<'_, plan::Plan> {
        self.inner.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, plan::Plan> {
        self.inner.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[pymethods]
impl Plan {
    #[staticmethod]
    #[pyo3(signature = (ir, memo=None))]
    fn build(py: Python<'_>, ir: &[u8], memo: Option<PathBuf>) -> PyResult<Plan> {
        let inner = py.detach(|| plan::Plan::build(ir, memo.as_deref())).map_err(|f| faults(&f))?;
        Ok(Plan { inner: std::sync::RwLock::new(inner) })
    }

    #[staticmethod]
    fn check(py: Python<'_>, ir: &[u8]) -> PyResult<String> {
        let warnings = py.detach(|| plan::Plan::check(ir)).map_err(|found| faults(&found))?;
        Ok(serde_json::to_string(&warnings).unwrap_or_default())
    }

    #[getter]
    fn fresh(&self) -> usize {
        self.read().fresh()
    }

    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let plan = self.read();
        PyBytes::new_with(py, plan.key_count() * 32, |out| {
            plan.keys(out);
            Ok(())
        })
    }

    fn subtract(&self, py: Python<'_>, hits: &[u8]) -> PyResult<()> {
        py.detach(|| self.write().subtract(hits)).map_err(PyValueError::new_err)
    }

    fn summary<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let summary = py.detach(|| self.write().summary()).map_err(|f| faults(&[f]))?;
        let summary =
            serde_json::to_vec(&summary).map_err(|e| PyValueError::new_err(e.to_string()))?;
        Ok(PyBytes::new(py, &summary))
    }

    fn settings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let settings = serde_json::to_vec(self.read().settings());
        let settings = settings.map_err(|e| PyValueError::new_err(e.to_string()))?;
        Ok(PyBytes::new(py, &settings))
    }

    fn cell<'py>(&self, py: Python<'py>, cell: usize) -> PyResult<Bound<'py, PyDict>> {
        let plan = self.read();
        if cell >= plan.cells() {
            return Err(PyIndexError::new_err("no such cell"));
        }
        let expansion = plan.expansion(cell);
        let (model, task) = plan.names(cell);
        let lengths = (0..expansion.requests.len()).map(|r| expansion.lengths(r));
        let (total, cont): (Vec<u32>, Vec<u32>) = lengths.unzip();
        let context: Vec<u32> = total.iter().zip(&cont).map(|(t, c)| t - c).collect();
        let texts = |column: &Texts| PyList::new(py, column.iter().collect::<Vec<_>>());
        let out = PyDict::new(py);
        out.set_item("model", model)?;
        out.set_item("task", task)?;
        out.set_item("population", plan.population(cell))?;
        out.set_item("case_ids", texts(&expansion.ids)?)?;
        out.set_item("targets", texts(&expansion.targets)?)?;
        out.set_item("clusters", texts(&expansion.clusters)?)?;
        let slices = expansion.slices.iter().map(texts).collect::<PyResult<Vec<_>>>()?;
        out.set_item("slices", slices)?;
        out.set_item("requests", u32s(py, plan.unique(cell)))?;
        out.set_item("request_offsets", u32s(py, &expansion.request_offsets))?;
        out.set_item("context_tokens", u32s(py, &context))?;
        out.set_item("cont_tokens", u32s(py, &cont))?;
        out.set_item("choice_chars", u32s(py, &expansion.choice_chars))?;
        out.set_item("choice_bytes", u32s(py, &expansion.choice_bytes))?;
        out.set_item("text_words", u32s(py, &expansion.text_words))?;
        out.set_item("text_bytes", u32s(py, &expansion.text_bytes))?;
        Ok(out)
    }

    fn marks<'py>(
        &self,
        py: Python<'py>,
        cell: usize,
        hits: &[u8],
    ) -> PyResult<Bound<'py, PyDict>> {
        if cell >= self.read().cells() {
            return Err(PyIndexError::new_err("no such cell"));
        }
        let marks = py.detach(|| self.read().marks(cell, hits)).map_err(PyValueError::new_err)?;
        let out = PyDict::new(py);
        out.set_item("case", le(py, &marks.case, u64::to_le_bytes))?;
        out.set_item("row", le(py, &marks.row, u64::to_le_bytes))?;
        out.set_item("keys", le(py, &marks.keys, u64::to_le_bytes))?;
        out.set_item("answered", le(py, &marks.answered, |b| [u8::from(b)]))?;
        Ok(out)
    }

    fn case(&self, cell: usize, case: usize) -> PyResult<String> {
        let plan = self.read();
        if cell >= plan.cells() || case >= plan.expansion(cell).cases() {
            return Err(PyIndexError::new_err("no such case"));
        }
        plan.case(cell, case).map_err(|f| faults(&[f]))
    }

    fn packs(slf: Bound<'_, Self>, model: usize, budget: u64, limit: usize) -> PyResult<Packs> {
        let plan = slf.get();
        let packs = slf.py().detach(|| plan.write().packs(model, budget, limit.max(1)));
        Ok(Packs { inner: packs.map_err(|f| faults(&[f]))?, plan: slf.clone().unbind() })
    }

    fn probes(&self, py: Python<'_>, model: usize, count: usize) -> Vec<(String, Vec<u32>)> {
        py.detach(|| self.write().probes(model, count))
    }
}

/// The packs of a model, each made when it is asked for.
#[pyclass(frozen, sequence)]
struct Packs {
    inner: tree::Packs,
    plan: Py<Plan>,
}

#[pymethods]
impl Packs {
    fn __len__(&self) -> usize {
        self.inner.len()
    }

    fn __getitem__(&self, py: Python<'_>, index: usize) -> PyResult<Pack> {
        if index >= self.inner.len() {
            return Err(PyIndexError::new_err("no such pack"));
        }
        let plan = self.plan.get();
        Ok(Pack { inner: py.detach(|| plan.read().pack(&self.inner, index)) })
    }
}

/// A prefix tree of token ids with requests at its nodes.
#[pyclass(frozen)]
struct Pack {
    inner: tree::Pack,
}

#[pymethods]
impl Pack {
    #[getter]
    fn kind(&self) -> &'static str {
        if self.inner.setting.is_some() {
            "generate"
        } else {
            "loglikelihood"
        }
    }

    #[getter]
    fn tokens<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        u32s(py, &self.inner.tokens)
    }

    #[getter]
    fn node_offsets<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        u32s(py, &self.inner.node_offsets)
    }

    #[getter]
    fn node_parent<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        le(py, &self.inner.node_parent, i32::to_le_bytes)
    }

    #[getter]
    fn node_start<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        u32s(py, &self.inner.node_start)
    }

    #[getter]
    fn req_node<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        u32s(py, &self.inner.req_node)
    }

    #[getter]
    fn req_cont<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        u32s(py, &self.inner.req_cont)
    }

    #[getter]
    fn req_key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        u32s(py, &self.inner.req_key)
    }

    #[getter]
    fn req_setting<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        u32s(py, &vec![self.inner.setting.unwrap_or(0); self.inner.req_key.len()])
    }
}

/// Add this file's classes to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("PlanFaults", module.py().get_type::<PlanFaults>())?;
    module.add_class::<Plan>()?;
    module.add_class::<Packs>()?;
    module.add_class::<Pack>()
}
