//! Looking for a native library in the places of its table row.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::library::{LibrarySpec, Location, NamedFile};

/// A file that may be the library, and its place in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The file, or a bare name for the system's loader.
    pub path: PathBuf,
    /// Such as `beside the executable`.
    pub place: &'static str,
}

/// The candidates in the order to try them. Lazy, because asking Python takes a moment and is seldom needed.
pub(super) fn candidates<'a>(
    spec: &'static LibrarySpec,
    named: Option<&'a Path>,
    data: &'a Path,
) -> impl Iterator<Item = Candidate> + 'a {
    let only = named.is_some() && spec.named == NamedFile::Only;
    let locations = if only { &[] } else { spec.locations };
    let searched = locations.iter().flat_map(move |(place, location)| {
        files(spec, location, data).into_iter().map(move |path| Candidate { path, place })
    });
    let first = named.map(|path| Candidate { path: path.to_owned(), place: "where the user says" });
    first.into_iter().chain(searched)
}

fn files(spec: &LibrarySpec, location: &Location, data: &Path) -> Vec<PathBuf> {
    let folders = match location {
        Location::BesideExecutable => executable_folder().map_or(vec![], |bin| vec![bin.clone(), bin.join("../lib")]),
        Location::Environment(package) => executable_folder().map_or(vec![], |bin| environment(&bin, package)),
        Location::DataFolder => vec![data.to_owned()],
        Location::BesideRuntime => onnx::engine::ort::loaded()
            .and_then(|runtime| runtime.path().parent())
            .map(Path::to_owned)
            .into_iter()
            .collect(),
        Location::Python { program, folder } => python(program).map(|prefix| Path::new(&prefix).join(folder)).collect(),
        Location::Folders(folders) => folders.iter().map(PathBuf::from).collect(),
        Location::Loader(names) => return names.iter().map(PathBuf::from).collect(),
    };
    folders.iter().flat_map(|folder| libraries(spec, folder)).collect()
}

/// Without links: pipx and uv link to the program from elsewhere.
fn executable_folder() -> Option<PathBuf> {
    let executable = std::env::current_exe().ok()?.canonicalize().ok()?;
    executable.parent().map(Path::to_owned)
}

/// The folders of a package in the Python environment whose programs are in `bin`, those of the newest Python first:
/// `lib/python3.*/site-packages`, or `dist-packages` in Debian's own Python, `lib64` in Fedora's, `Lib\site-packages` on Windows.
fn environment(bin: &Path, package: &str) -> Vec<PathBuf> {
    let mut libs: Vec<PathBuf> =
        ["../lib", "../lib64"].iter().filter_map(|lib| bin.join(lib).canonicalize().ok()).collect();
    // In a virtual environment the second is a link to the first.
    libs.dedup();
    let pythons = libs.into_iter().flat_map(|lib| {
        let names = fs::read_dir(&lib).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let mut names: Vec<String> = names.filter_map(|name| name.into_string().ok()).collect();
        names.retain(|name| name.starts_with("python"));
        names.sort_by_key(|name| std::cmp::Reverse(version(name)));
        names.into_iter().map(|name| lib.join(name)).chain([lib.clone()]).collect::<Vec<_>>()
    });
    let modules = pythons.flat_map(|python| ["site-packages", "dist-packages"].map(|folder| python.join(folder)));
    modules.map(|folder| folder.join(package)).collect()
}

/// The lines that a program prints. No Python is as good as one without the library.
fn python(program: &str) -> impl Iterator<Item = String> {
    let output = Command::new("python3").args(["-c", program]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let text = output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// The library's files in a folder, the newest version first.
fn libraries(spec: &LibrarySpec, folder: &Path) -> Vec<PathBuf> {
    let names =
        fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| (spec.is_library)(name) && folder.join(name).is_file()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(version(name)));
    names.into_iter().map(|name| folder.join(name)).collect()
}

/// The numbers in a file's name.
fn version(name: &str) -> Vec<u32> {
    name.split('.').filter_map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Library;
    use super::*;

    fn folder_with(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "").unwrap();
        }
        folder
    }

    #[test]
    fn the_newest_library_of_a_folder_comes_first_and_providers_do_not_count() {
        let folder = folder_with(&[
            "libonnxruntime.so.1.9.0",
            "libonnxruntime.so.1.32.0",
            "libonnxruntime_providers_shared.so",
            "x.txt",
        ]);
        let names: Vec<_> = libraries(Library::OnnxRuntime.spec(), folder.path())
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["libonnxruntime.so.1.32.0", "libonnxruntime.so.1.9.0"]);
    }

    /// The environment is a prefix with `bin`, and files of which each is made with its folders.
    fn found_in(files: &[&str]) -> Vec<String> {
        let prefix = tempfile::tempdir().unwrap();
        let bin = prefix.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for file in files {
            let file = prefix.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let root = prefix.path().canonicalize().unwrap();
        let folders = environment(&bin, "onnxruntime/capi");
        let found = folders.iter().flat_map(|folder| libraries(Library::OnnxRuntime.spec(), folder));
        found.map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn the_library_that_pip_puts_beside_the_program_is_found_wherever_pythons_keep_modules() {
        for file in [
            "lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0",
            "lib/python3.12/site-packages/onnxruntime/capi/libonnxruntime.1.32.0.dylib",
            "lib/python3/dist-packages/onnxruntime/capi/libonnxruntime.so.1.32.0",
            "lib64/python3.12/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0",
            "lib/site-packages/onnxruntime/capi/onnxruntime.dll",
        ] {
            assert_eq!(found_in(&[file]), [file]);
        }
    }

    #[test]
    fn of_several_pythons_the_newest_comes_first() {
        let of = |python: &str| format!("lib/{python}/site-packages/onnxruntime/capi/libonnxruntime.so.1.32.0");
        let [old, new, other] = ["python3.9", "python3.14", "perl5.36"].map(of);
        assert_eq!(found_in(&[&old, &new, &other]), [new, old]);
    }

    #[cfg(unix)]
    #[test]
    fn a_second_name_of_the_same_folder_gives_no_second_candidate() {
        let prefix = tempfile::tempdir().unwrap();
        fs::create_dir_all(prefix.path().join("bin")).unwrap();
        fs::create_dir_all(prefix.path().join("lib/python3.12")).unwrap();
        std::os::unix::fs::symlink("lib", prefix.path().join("lib64")).unwrap();
        let folders = environment(&prefix.path().join("bin"), "onnxruntime/capi");
        let once = |folder: &PathBuf| folders.iter().filter(|other| *other == folder).count() == 1;
        assert!(folders.iter().all(once), "{folders:?}");
    }

    #[test]
    fn the_data_folder_comes_behind_a_named_onnx_runtime_and_not_behind_a_named_onednn() {
        let folder = folder_with(&["libonnxruntime.so.1.32.0", "libdnnl.so.3"]);
        let places = |library: Library, named: Option<&Path>| -> Vec<_> {
            let places = candidates(library.spec(), named, folder.path()).map(|candidate| candidate.place);
            places.filter(|place| ["where the user says", "in the data folder"].contains(place)).collect()
        };
        let named = Some(Path::new("/named"));
        assert_eq!(places(Library::OnnxRuntime, named), ["where the user says", "in the data folder"]);
        assert_eq!(places(Library::OneDnn, named), ["where the user says"]);
        assert_eq!(places(Library::OneDnn, None), ["in the data folder"]);
    }
}
