//! `evalc._core`: the planner as a Python module. No logic lives here.

mod plan;
mod texts;

use pyo3::prelude::*;

#[pymodule]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    texts::register(module)?;
    plan::register(module)
}
