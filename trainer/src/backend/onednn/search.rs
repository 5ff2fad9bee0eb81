//! Where the library may be.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::library::{OneDnn, OneDnnError};

/// Names of the library's file; the major version is part of them.
const NAMES: [&str; 3] = ["libdnnl.so.3", "libdnnl.3.dylib", "dnnl.dll"];

/// Where to look, besides beside the executable, the environment's Python and the system.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The file that the user named. It is the only one then.
    pub named: Option<PathBuf>,
    /// The folder into which `graft runtime install onednn` puts it.
    pub data: Option<PathBuf>,
}

/// A file that may be the library, and a word on where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The file, or its name alone for the system's loader.
    pub path: PathBuf,
    /// Such as `beside the executable`.
    pub place: &'static str,
}

/// The first library that loads: the named file; or one beside the executable, in the data folder, among the libraries of
/// the environment's Python, where pip puts it, or known to the system.
///
/// # Errors
/// Why each of them is not used; none at all if only the system's loader was asked.
pub fn find(places: &Places) -> Result<(OneDnn, Candidate), Vec<OneDnnError>> {
    let mut refused = Vec::new();
    for candidate in candidates(places) {
        match OneDnn::load(&candidate.path) {
            Ok(library) => return Ok((library, candidate)),
            // The system's loader is asked for a name, so a failure says only that it knows none.
            Err(OneDnnError::Load { .. }) if candidate.path.components().count() == 1 => {}
            Err(error) => refused.push(error),
        }
    }
    Err(refused)
}

/// Lazy, because asking Python takes a moment and is seldom needed.
fn candidates(places: &Places) -> Box<dyn Iterator<Item = Candidate> + '_> {
    if let Some(path) = &places.named {
        return Box::new(std::iter::once(Candidate { path: path.clone(), place: "named by the user" }));
    }
    let lazily = |place: &'static str, find: fn(&Places) -> Vec<PathBuf>| {
        std::iter::once_with(move || find(places))
            .flatten()
            .flat_map(|folder| NAMES.map(|name| folder.join(name)))
            .filter(|path| path.is_file())
            .map(move |path| Candidate { path, place })
    };
    let system = NAMES.iter().map(|name| Candidate { path: PathBuf::from(name), place: "in the system" });
    Box::new(
        lazily("beside the executable", |_| beside_executable())
            .chain(lazily("in the data folder", |places| places.data.iter().cloned().collect()))
            .chain(lazily("among the libraries of Python", |_| python_libraries()))
            .chain(system),
    )
}

/// The executable's folder and `../lib`.
fn beside_executable() -> Vec<PathBuf> {
    let Some(folder) = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)) else {
        return vec![];
    };
    let lib = folder.join("..").join("lib");
    vec![folder, lib]
}

/// The package puts its files under the environment's prefix and not among its modules.
fn python_libraries() -> Vec<PathBuf> {
    const ASK: &str = "import sys, spec; print(sys.prefix); print(spec.getuserbase())";
    let asked = Command::new("python3").args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let answer = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    answer.lines().map(|prefix| Path::new(prefix).join("lib")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_is_the_only_one_and_says_why_it_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let named = folder.path().join("libdnnl.so.3");
        let find = || find(&Places { named: Some(named.clone()), data: None }).unwrap_err();
        assert!(matches!(&find()[..], [OneDnnError::Load { path, .. }] if *path == named));
        std::fs::write(&named, "not a library").unwrap();
        let [error] = &find()[..] else { panic!("one file, one reason") };
        assert!(error.to_string().contains("graft runtime install onednn"), "{error}");
    }

    #[test]
    fn the_data_folder_is_looked_into() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libdnnl.so.3");
        std::fs::write(&path, "").unwrap();
        let places = Places { named: None, data: Some(folder.path().to_owned()) };
        let found: Vec<_> = candidates(&places).map(|candidate| candidate.path).collect();
        assert!(found.contains(&path), "{found:?}");
    }

    /// The system's loader knows it by name where there is one of this name; elsewhere it does not load.
    #[test]
    fn another_library_is_not_taken_for_this_one() {
        let error = OneDnn::load(Path::new("libc.so.6")).unwrap_err();
        assert!(matches!(error, OneDnnError::Unusable { .. } | OneDnnError::Load { .. }), "{error}");
        if cfg!(target_os = "linux") {
            assert!(error.to_string().contains("dnnl_"), "the function that is not there: {error}");
        }
    }
}
