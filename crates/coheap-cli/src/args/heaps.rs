//! What `coheap ls`, `coheap stat` and `coheap rm` can be told.
//!
//! What always holds: a request to remove says what.
//! Not here: whether there is a heap with the name.

use std::path::PathBuf;

/// What `coheap ls` is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Where the heaps are [default: where programs make them]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// List them as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `coheap stat` is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Stat {
    /// The heap
    pub(crate) name: String,
    /// Where the heap is [default: where programs make them]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Show it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What `coheap rm` is asked for.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["names", "orphans"]))]
pub(crate) struct Remove {
    /// The heaps
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Where the heaps are [default: where programs make them]
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Remove what dead processes have left of heaps that are gone
    #[arg(long)]
    pub(crate) orphans: bool,
    /// Remove the files of a heap that cannot be opened, too
    #[arg(long, requires = "names")]
    pub(crate) force: bool,
    /// Say what was done as JSON
    #[arg(long)]
    pub(crate) json: bool,
}
