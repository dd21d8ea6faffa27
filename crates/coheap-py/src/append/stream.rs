//! Takes over a stream of Arrow that a Python object exports.
//!
//! What always holds: a stream is taken over once, from a capsule that has the name which the Arrow
//! C stream interface gives it; what is left in the capsule is a stream that was released.
//!
//! Not here: what the columns are written as (`table`).

use arrow_array::ffi_stream::{ArrowArrayStreamReader, FFI_ArrowArrayStream};
use arrow_array::{RecordBatch, RecordBatchReader as _};
use arrow_schema::{ArrowError, SchemaRef};
use coheap_core::system;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// Returns the columns that `data` exports by `__arrow_c_stream__`.
pub(super) fn columns_of(data: &Bound<'_, PyAny>) -> PyResult<(Vec<RecordBatch>, SchemaRef)> {
    system::sleep_when_ended();
    let capsule = data.call_method0("__arrow_c_stream__")?.cast_into::<PyCapsule>()?;
    let named = capsule.pointer_checked(Some(c"arrow_array_stream"))?;
    let stream = named.cast::<FFI_ArrowArrayStream>();
    // SAFETY: a capsule of this name holds an `ArrowArrayStream` of the C stream interface, which has
    // the layout of this type; the check above refuses any other, and the capsule, which we hold,
    // keeps the pointer valid. Taking the stream over leaves a released one behind.
    let stream = unsafe { FFI_ArrowArrayStream::from_raw(stream.as_ptr()) };
    let failed = |error: ArrowError| {
        PyTypeError::new_err(format!("the frame cannot be read: {error}; nothing was changed"))
    };
    let reader = ArrowArrayStreamReader::try_new(stream).map_err(failed)?;
    let schema = reader.schema();
    let batches = reader.collect::<Result<_, _>>().map_err(failed)?;
    Ok((batches, schema))
}
