//! Keys of all other types: the name of the type and the parts that `__reduce_ex__` says, canonically.
//!
//! A pickle would not do: pickles of equal objects differ in what they name twice, and in the order of their
//! attributes.
//!
//! What always holds: nothing is loaded from these bytes; the form beside them is a pickle.

use coheap_core::wire::{Tag, put_bytes, put_head};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyDict, PyFunction, PyList, PySet, PyString, PyTuple, PyType};

use super::{Canonical, Done, Refusal, deeper, refuse_type};
use crate::late::Late;

/// The protocol whose parts are encoded: its parts are the same in all versions of Python.
const PROTOCOL: u8 = 4;

static DISPATCH_TABLE: Late = Late::new("copyreg", "dispatch_table");

impl Canonical<'_> {
    /// Writes an object of any type.
    pub(super) fn put_reduced(&mut self, object: &Bound<'_, PyAny>, depth: u32) -> Done {
        if !self.rules.pickle {
            return Err(refuse_type(object));
        }
        let (py, depth) = (object.py(), deeper(depth)?);
        if is_global(object) {
            let name = name_of(object)?;
            return self.put_parts(&name, |_| Ok(()));
        }
        let own = DISPATCH_TABLE.get(py)?;
        let own = own.cast::<PyDict>().map_err(PyErr::from)?.get_item(object.get_type())?;
        let reduced = match own {
            Some(reduce) => reduce.call1((object,))?,
            None => object.call_method1(intern!(py, "__reduce_ex__"), (PROTOCOL,))?,
        };
        let name = name_of(object.get_type().as_any())?;
        self.put_parts(&name, |parts| match reduced.cast::<PyTuple>() {
            Ok(reduced) => parts.put_all(reduced, depth),
            // The name of something that is there once.
            Err(_) => parts.put_part(&reduced, depth),
        })
    }

    /// Writes the name of a type and what `write` writes.
    pub(super) fn put_parts(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Canonical<'_>) -> Done,
    ) -> Done {
        self.is_exact = false;
        self.needs_form = true;
        self.with_payload(Tag::Reduced, |payload| {
            put_bytes(payload.out, Tag::Str, name.as_bytes());
            write(payload)
        })
    }

    /// Writes the parts of an object: what makes it, from what, its state, and its items.
    fn put_all(&mut self, reduced: &Bound<'_, PyTuple>, depth: u32) -> Done {
        for (number, part) in reduced.iter().enumerate() {
            match number {
                3 if !part.is_none() => self.put_list(&part, depth)?,
                4 if !part.is_none() => {
                    let pairs = PyDict::new(part.py());
                    for pair in part.try_iter()? {
                        let (key, value) =
                            pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
                        pairs.set_item(key, value)?;
                    }
                    self.put_dict(&pairs, depth)?;
                }
                _ => self.put_part(&part, depth)?,
            }
        }
        Ok(())
    }

    /// Writes a part, which need not be hashable.
    fn put_part(&mut self, part: &Bound<'_, PyAny>, depth: u32) -> Done {
        if let Ok(dict) = part.cast_exact::<PyDict>() {
            self.put_dict(dict, depth)
        } else if part.is_exact_instance_of::<PyList>() {
            self.put_list(part, depth)
        } else if let Ok(tuple) = part.cast_exact::<PyTuple>() {
            let depth = deeper(depth)?;
            put_head(self.out, Tag::Tuple, tuple.len() as u64);
            tuple.iter().try_for_each(|item| self.put_part(&item, depth))
        } else if let Ok(set) = part.cast_exact::<PySet>() {
            let depth = deeper(depth)?;
            self.set(Tag::Set, set.iter(), |aside, item| aside.put_part(&item, depth))
        } else if let Ok(bytes) = part.cast_exact::<PyByteArray>() {
            put_bytes(self.out, Tag::ByteArray, &bytes.to_vec());
            Ok(())
        } else {
            match self.put(part, depth) {
                // As a part of another object it need not be hashable.
                Err(Refusal::ByKey(_)) => self.put_reduced(part, depth),
                other => other,
            }
        }
    }

    fn put_list(&mut self, items: &Bound<'_, PyAny>, depth: u32) -> Done {
        let depth = deeper(depth)?;
        let items = items.try_iter()?.collect::<PyResult<Vec<_>>>()?;
        put_head(self.out, Tag::List, items.len() as u64);
        items.iter().try_for_each(|item| self.put_part(item, depth))
    }

    /// Writes pairs in the order of their keys' bytes.
    fn put_dict(&mut self, dict: &Bound<'_, PyDict>, depth: u32) -> Done {
        let depth = deeper(depth)?;
        let pairs = self.sorted(dict.iter(), |aside, (key, value)| {
            aside.put_part(&key, depth)?;
            aside.put_part(&value, depth)
        })?;
        self.append(Tag::Dict, &pairs);
        Ok(())
    }
}

/// Whether it is known by its name alone.
fn is_global(object: &Bound<'_, PyAny>) -> bool {
    object.is_instance_of::<PyType>() || object.is_instance_of::<PyFunction>()
}

/// Returns the name of a class or function with its module. The module of the program has one name,
/// whichever way a process was started.
pub(super) fn name_of(object: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = object.py();
    let module = object.getattr(intern!(py, "__module__"))?;
    let name = object.getattr(intern!(py, "__qualname__"))?;
    let module = module.cast::<PyString>().map_or(Ok("builtins".to_owned()), |it| it.extract())?;
    let module = if module == "__mp_main__" { "__main__" } else { &module };
    Ok(format!("{module}.{}", name.extract::<String>()?))
}
