//! The encodings of Python, for files that are appended to.
//!
//! What always holds: an encoding gives the same bytes for two texts one after the other as for both
//! at once, or it is refused: a mark or a shift in the middle of a file would be read as text.
//!
//! Not here: UTF-8, UTF-16, Latin-1 and ASCII, which need no Python (`coheap_append`).

use std::sync::Arc;

use coheap_append::{Charset, Charsets, Found};
use coheap_core::system;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

/// The encodings of Python.
#[derive(Debug)]
pub(crate) struct Codecs;

impl Charsets for Codecs {
    fn find(&self, name: &str) -> Option<Found> {
        if let Some(found) = Found::built_in(name) {
            return Some(found);
        }
        system::sleep_when_ended();
        Python::attach(|py| {
            let codec = py.import("codecs").ok()?.call_method1("lookup", (name,)).ok()?;
            let is_text = codec.getattr("_is_text_encoding").and_then(|is_text| is_text.extract());
            let name: String = codec.getattr("name").ok()?.extract().ok()?;
            if let Some(found) = Found::built_in(&name) {
                return Some(found);
            }
            let charset = Codec { name };
            let is_usable = is_text.unwrap_or(true) && charset.is_stateless();
            is_usable.then(|| Found::Other(Arc::new(charset)))
        })
    }
}

/// An encoding of Python.
#[derive(Debug)]
struct Codec {
    name: String,
}

impl Codec {
    fn is_stateless(&self) -> bool {
        let bytes = |text: &str| {
            let mut bytes = Vec::new();
            self.encode(text, &mut bytes).map(|()| bytes)
        };
        let (Ok(first), Ok(second), Ok(both)) = (bytes("a,\n"), bytes("b"), bytes("a,\nb")) else {
            return false;
        };
        [first, second].concat() == both && self.decode(&both).as_deref() == Some("a,\nb")
    }
}

impl Charset for Codec {
    fn name(&self) -> &str {
        &self.name
    }

    fn encode(&self, text: &str, bytes: &mut Vec<u8>) -> Result<(), usize> {
        system::sleep_when_ended();
        Python::attach(|py| {
            let encoded = PyString::new(py, text).call_method1("encode", (self.name.as_str(),));
            match encoded.and_then(|encoded| Ok(encoded.cast_into::<PyBytes>()?)) {
                Ok(encoded) => {
                    bytes.extend_from_slice(encoded.as_bytes());
                    Ok(())
                }
                Err(error) => {
                    let start = error.value(py).getattr("start");
                    Err(start.and_then(|start| start.extract()).unwrap_or(0))
                }
            }
        })
    }

    fn decode(&self, bytes: &[u8]) -> Option<String> {
        system::sleep_when_ended();
        Python::attach(|py| {
            let bytes = PyBytes::new(py, bytes);
            bytes.call_method1("decode", (self.name.as_str(),)).ok()?.extract().ok()
        })
    }
}
