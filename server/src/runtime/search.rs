//! Where the library may be.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::config::DataDir;

/// Where distributions and `make install` put libraries.
const SYSTEM: [&str; 6] = [
    "/usr/local/lib",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/opt/homebrew/lib",
];

/// A library file that was found, and a word on where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The file.
    pub path: PathBuf,
    /// Such as `beside the executable`.
    pub place: &'static str,
}

/// Every library file that there is, in the order in which they are to be tried: the file that the user named, beside
/// the executable, the data folder, the `onnxruntime` package of the environment's Python, the system.
///
/// Lazy, because asking Python takes a moment and is seldom needed.
pub fn candidates(named: Option<&Path>, data: &DataDir) -> impl Iterator<Item = Candidate> {
    let named = named.map(|path| Candidate { path: path.to_owned(), place: "named by the user" });
    let runtime = data.runtime_dir();
    named
        .into_iter()
        .chain(lazily("beside the executable", beside_executable))
        .chain(lazily("in the data folder", move || libraries(&runtime)))
        .chain(lazily("in the Python package onnxruntime", python_package))
        .chain(lazily("in the system", || SYSTEM.iter().flat_map(|folder| libraries(Path::new(folder))).collect()))
}

fn lazily(place: &'static str, find: impl FnOnce() -> Vec<PathBuf>) -> impl Iterator<Item = Candidate> {
    std::iter::once_with(find).flatten().map(move |path| Candidate { path, place })
}

/// In the executable's folder, in `../lib`, and where pip puts the package when it installs the executable too.
fn beside_executable() -> Vec<PathBuf> {
    let Some(folder) = std::env::current_exe().ok().and_then(|path| path.parent().map(Path::to_owned)) else {
        return vec![];
    };
    let lib = folder.join("..").join("lib");
    let pythons = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.path());
    let packages = pythons.map(|python| python.join("site-packages/onnxruntime/capi"));
    [folder, lib].into_iter().chain(packages).flat_map(|folder| libraries(&folder)).collect()
}

/// Python knows where its packages are; importing this one would take a second, so only its place is asked for.
fn python_package() -> Vec<PathBuf> {
    const ASK: &str = "import importlib.util as u; s = u.find_spec('onnxruntime'); print(s.submodule_search_locations[0] if s else '')";
    let asked = Command::new("python3").args(["-c", ASK]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let answer = asked.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    if answer.is_empty() { vec![] } else { libraries(&Path::new(&answer).join("capi")) }
}

/// The libraries in a folder, the newest version first.
fn libraries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = entries.filter(|path| is_library(path)).collect();
    found.sort_by_key(|path| std::cmp::Reverse(version(path)));
    found
}

/// `libonnxruntime.so`, `libonnxruntime.so.1.32.0`, `libonnxruntime.1.32.0.dylib`, `onnxruntime.dll`; not the libraries
/// of its providers.
fn is_library(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == "onnxruntime.dll"
        || name == "libonnxruntime.so"
        || name.starts_with("libonnxruntime.so.")
        || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
}

/// The numbers in the file's name.
fn version(path: &Path) -> Vec<u32> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_library_of_a_folder_comes_first_and_providers_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["libonnxruntime.so.1.9.0", "libonnxruntime.so.1.32.0", "libonnxruntime_providers_shared.so", "x.txt"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let names: Vec<_> = libraries(folder.path())
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["libonnxruntime.so.1.32.0", "libonnxruntime.so.1.9.0"]);
    }

    #[test]
    fn a_named_library_comes_before_the_data_folders() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        fs::create_dir_all(data.runtime_dir()).unwrap();
        fs::write(data.runtime_dir().join("libonnxruntime.so.1.32.0"), "").unwrap();
        let places: Vec<_> = candidates(Some(Path::new("/named")), &data).map(|found| found.place).collect();
        let expected = ["named by the user", "in the data folder"];
        assert_eq!(places.iter().filter(|place| expected.contains(place)).copied().collect::<Vec<_>>(), expected);
    }
}
