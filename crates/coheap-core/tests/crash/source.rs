//! The list of operations, read from the source of the engine.
//!
//! An operation is a public function that takes a context, a public method of a transaction or of
//! an object inside one, or a public function of a heap, or of its files, that may fail. A method
//! `get` of a `Map` inside a transaction is called `Transaction::map_get`. Functions that only the engine can
//! call are run by those.
//!
//! What always holds: nothing is left out by hand.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Names of all operations: `Type::method`, or `file::function`.
pub(crate) fn operations() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![source.join("heap.rs")];
    collect_files(&source.join("heap"), &mut files);
    for folder in ["objects", "transaction", "allocator"] {
        collect_files(&source.join(folder), &mut files);
    }
    let mut names = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        names.extend(operations_in(&text, &place_of(&file)));
    }
    names
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the engine") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// What a free function of this file is called by: the file, or the folder of a `mod.rs`.
fn place_of(file: &Path) -> String {
    let stem =
        |path: &Path| path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into());
    match (stem(file).as_str(), file.parent()) {
        ("mod", Some(folder)) => stem(folder),
        _ => stem(file),
    }
}

/// The operations in one file.
pub(crate) fn operations_in(text: &str, place: &str) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let mut owner = String::new();
    let mut names = Vec::new();
    for (at, line) in lines_with_offset(text) {
        if let Some(implemented) = line.strip_prefix("impl") {
            owner = implemented_type(implemented);
        } else if line.starts_with('}') {
            owner.clear();
        }
        let Some(rest) = line.trim_start().strip_prefix("pub fn ") else { continue };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let signature = text[at..].split('{').next().unwrap_or_default();
        if let Some(kind) = owner.strip_prefix("Inside") {
            names.push(format!("Transaction::{}_{name}", kind.to_lowercase()));
        } else if is_operation(signature, &owner) {
            let place = if owner.is_empty() { place } else { &owner };
            names.push(format!("{place}::{name}"));
        }
    }
    names
}

fn is_operation(signature: &str, owner: &str) -> bool {
    let takes_context = signature.contains("context: &Context");
    match owner {
        "Heap" => {
            let has_heap = signature.contains("&self") || signature.contains("HeapFile");
            has_heap && signature.contains("-> Result<")
        }
        "Transaction" => true,
        _ => takes_context,
    }
}

/// The type of an `impl`; `InsideMap` for `Inside<'_, Map>`.
fn implemented_type(rest: &str) -> String {
    if let Some((_, kind)) = rest.split_once("Inside<'_, ").or(rest.split_once("Inside<'t, ")) {
        return format!("Inside{}", kind.split('>').next().unwrap_or_default());
    }
    let rest = rest.split(" for ").last().unwrap_or(rest);
    let rest = rest.trim_start_matches(['<', '\'', ' ']);
    let name = rest.rsplit_once("> ").map_or(rest, |(_, name)| name);
    name.chars().take_while(|c| c.is_alphanumeric()).collect()
}

fn lines_with_offset(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |at, line| {
        let start = *at;
        *at += line.len();
        Some((start, line.trim_end()))
    })
}
