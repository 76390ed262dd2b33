//! Templates, TOML spans, hashes and seals: functions of texts and bytes.

use evalc_plan::template::{self, TemplateFault};
use evalc_plan::toml_index::{index, Step};
use evalc_plan::{bounds, chat, digest, marks, memo, rows, seal};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::collections::BTreeMap;

type IndexRow = (Py<PyList>, Option<(usize, usize)>, Option<(usize, usize)>);

#[pyfunction]
fn toml_index(py: Python<'_>, text: &str) -> PyResult<Vec<IndexRow>> {
    let entries = py.detach(|| index(text));
    entries
        .into_iter()
        .map(|entry| {
            let path = PyList::empty(py);
            for step in entry.path {
                match step {
                    Step::Key(key) => path.append(key)?,
                    Step::Index(position) => path.append(position)?,
                }
            }
            Ok((path.unbind(), entry.key, entry.value))
        })
        .collect()
}

#[pyfunction]
fn template_fault<'py>(py: Python<'py>, source: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
    let Some(fault) = template::fault(source) else { return Ok(None) };
    let out = PyDict::new(py);
    out.set_item("message", fault.message)?;
    out.set_item("span", fault.span)?;
    Ok(Some(out))
}

#[pyfunction]
fn data_bounds() -> BTreeMap<&'static str, usize> {
    bounds::ALL.into_iter().collect()
}

fn value_error(fault: TemplateFault) -> PyErr {
    PyValueError::new_err(fault.message)
}

#[pyfunction]
fn render_template(source: &str, row_json: &str) -> PyResult<String> {
    template::render_row(source, row_json).map_err(value_error)
}

#[pyfunction]
#[pyo3(signature = (template, special_tokens, date, messages, add_generation_prompt))]
fn render_chat(
    template: &str,
    special_tokens: BTreeMap<String, String>,
    date: Option<&str>,
    messages: Vec<(String, String)>,
    add_generation_prompt: bool,
) -> PyResult<String> {
    let compiled = chat::ChatTemplate::compile(template, &special_tokens, date);
    let messages: Vec<chat::Message> =
        messages.into_iter().map(|(role, content)| chat::Message { role, content }).collect();
    compiled.and_then(|c| c.render(&messages, add_generation_prompt)).map_err(value_error)
}

#[pyfunction]
fn hash_files(py: Python<'_>, paths: Vec<String>) -> PyResult<Vec<String>> {
    py.detach(|| seal::hash_files(&paths))
        .map_err(|(path, error)| PyOSError::new_err(format!("cannot read `{path}`: {error}")))
}

#[pyfunction]
fn seal_values<'py>(py: Python<'py>, values: Vec<Vec<u8>>) -> Vec<Bound<'py, PyBytes>> {
    values.iter().map(|value| PyBytes::new(py, &seal::seal(value))).collect()
}

#[pyfunction]
fn unseal_values<'py>(
    py: Python<'py>,
    values: Vec<Option<Vec<u8>>>,
) -> Vec<Option<Bound<'py, PyBytes>>> {
    let open = |value: Option<Vec<u8>>| value.as_deref().and_then(seal::unseal).map(<[u8]>::to_vec);
    values.into_iter().map(|value| open(value).map(|v| PyBytes::new(py, &v))).collect()
}

#[pyfunction]
fn sealed_intact<'py>(py: Python<'py>, values: Vec<Option<Vec<u8>>>) -> Bound<'py, PyBytes> {
    let intact = |value: &Option<Vec<u8>>| {
        u8::from(value.as_deref().is_some_and(|value| seal::unseal(value).is_some()))
    };
    PyBytes::new(py, &values.iter().map(intact).collect::<Vec<u8>>())
}

#[pyfunction]
fn digest_fields(tag: &str, fields: Vec<Vec<u8>>) -> String {
    seal::digest_fields(tag, &fields)
}

#[pyfunction]
fn order_keys<'py>(py: Python<'py>, seed: u64, ids: Vec<String>) -> Bound<'py, PyBytes> {
    let keys: Vec<u8> =
        ids.iter().flat_map(|id| digest::order_key(seed, id).to_be_bytes()).collect();
    PyBytes::new(py, &keys)
}

#[pyfunction]
fn case_mark(id: &str) -> u64 {
    marks::of_text(id)
}

#[pyfunction]
fn planner_build() -> &'static str {
    memo::build()
}

#[pyfunction]
#[pyo3(signature = (path, format, compression, quote=None, origin=None))]
fn read_rows(
    py: Python<'_>,
    path: &str,
    format: &str,
    compression: &str,
    quote: Option<&str>,
    origin: Option<&str>,
) -> PyResult<String> {
    py.detach(|| rows::read_all(path, format, compression, quote, origin))
        .map_err(|found| crate::plan::faults(&found))
}

/// Add this file's functions to the module.
pub fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(toml_index, module)?)?;
    module.add_function(wrap_pyfunction!(template_fault, module)?)?;
    module.add_function(wrap_pyfunction!(data_bounds, module)?)?;
    module.add_function(wrap_pyfunction!(render_template, module)?)?;
    module.add_function(wrap_pyfunction!(render_chat, module)?)?;
    module.add_function(wrap_pyfunction!(hash_files, module)?)?;
    module.add_function(wrap_pyfunction!(seal_values, module)?)?;
    module.add_function(wrap_pyfunction!(sealed_intact, module)?)?;
    module.add_function(wrap_pyfunction!(case_mark, module)?)?;
    module.add_function(wrap_pyfunction!(order_keys, module)?)?;
    module.add_function(wrap_pyfunction!(planner_build, module)?)?;
    module.add_function(wrap_pyfunction!(read_rows, module)?)?;
    module.add_function(wrap_pyfunction!(digest_fields, module)?)?;
    module.add_function(wrap_pyfunction!(unseal_values, module)?)
}
