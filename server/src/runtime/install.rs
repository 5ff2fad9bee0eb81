//! Putting the library of ONNX Runtime, oneDNN or a provider into the data folder.
//!
//! A library is its makers' own build out of the Python package. The user's pip fetches it, with the user's mirror,
//! proxy and certificates; graft opens no connection of its own and accepts only the file it knows by its hash.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use models::files::write_atomically;
use onnx::Provider;
use onnx::engine::ort;
use sha2::{Digest, Sha256};
use thiserror::Error;
use trainer::backend::{OneDnn, OneDnnError};

use super::Library;
use super::library::Wheel;

/// Why the library is not installed.
#[derive(Debug, Error)]
pub enum InstallError {
    /// A platform without a package.
    #[error("there is no package of {package} for {os} on {arch}; get a library yourself and put it beside graft")]
    Platform {
        /// The package and its version.
        package: &'static str,
        /// The operating system.
        os: &'static str,
        /// The processor.
        arch: &'static str,
    },
    /// CUDA's provider, which is of use only with packages that are too large and too particular for a copy.
    #[error(
        "graft does not install CUDA's provider: it works with the ONNX Runtime of its own package alone, and needs NVIDIA's \
         libraries, 1.4 GB; run `pip install nvidia-cublas nvidia-curand '{package}'` in an environment without onnxruntime, and name \
         its libonnxruntime with --ort-lib"
    )]
    ByHand {
        /// The package and its version.
        package: &'static str,
    },
    /// pip cannot be run or does not deliver.
    #[error("`{command}` failed: {reason}")]
    Pip {
        /// What was run, with its arguments.
        command: String,
        /// What it said.
        reason: String,
    },
    /// Another file than the known one.
    #[error("the downloaded package has SHA-256 {found}, expected {expected}; nothing was installed")]
    Hash {
        /// The file's.
        found: String,
        /// The known one.
        expected: &'static str,
    },
    /// The package does not open or lacks the library.
    #[error("the downloaded package cannot be unpacked: {0}")]
    Unpack(#[from] zip::result::ZipError),
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The library does not load on this machine.
    #[error("the library was unpacked but does not load here: {0}")]
    Load(#[from] ort::LoadError),
    /// The same of oneDNN.
    #[error("the library was unpacked but does not load here: {0}")]
    LoadOneDnn(#[from] OneDnnError),
    /// The same of a provider.
    #[error("the library was unpacked but does not load here: {0}")]
    LoadProvider(#[from] ort::ProviderError),
}

/// Downloads the package with the user's own pip, checks its hash, and puts the library into this folder. The file
/// appears there only when it is complete and loads.
///
/// # Errors
/// [`InstallError`]; nothing is left in the folder then.
pub fn install(library: Library, folder: &Path, python: &Path) -> Result<PathBuf, InstallError> {
    if library.spec().wheels.is_empty() {
        return Err(InstallError::ByHand { package: library.spec().requirement });
    }
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let wheel = library.spec().wheels.iter().find(|wheel| wheel.os == os && wheel.arch == arch);
    let wheel = wheel.ok_or(InstallError::Platform { package: library.spec().requirement, os, arch })?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Io { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let workspace = tempfile::tempdir_in(folder).map_err(failed(folder))?;
    let package = download(library, wheel, workspace.path(), python)?;
    let bytes = fs::read(&package).map_err(failed(&package))?;
    let digest = hex::encode(Sha256::digest(&bytes));
    if digest != wheel.sha256 {
        return Err(InstallError::Hash { found: digest, expected: wheel.sha256 });
    }
    let installed = unpack(wheel, bytes, folder).and_then(|target| library.load(&target).map(|()| target));
    installed.inspect_err(|_| wheel.files().for_each(|name| drop(fs::remove_file(folder.join(name)))))
}

/// Writes the library's files. The library itself comes last, so that it is found only when it is complete.
fn unpack(wheel: &Wheel, package: Vec<u8>, folder: &Path) -> Result<PathBuf, InstallError> {
    let mut archive = zip::ZipArchive::new(io::Cursor::new(package))?;
    let mut target = folder.to_owned();
    for name in wheel.files() {
        target = folder.join(name);
        let failed = |source| InstallError::Io { path: target.clone(), source };
        let mut content = Vec::new();
        archive.by_name(&format!("{}/{name}", wheel.folder))?.read_to_end(&mut content).map_err(failed)?;
        write_atomically(&target, &content).map_err(failed)?;
    }
    Ok(target)
}

impl Wheel {
    /// The names of the files that are taken out of it, the library last.
    fn files(&self) -> impl Iterator<Item = &'static str> {
        self.companions.iter().copied().chain([self.library])
    }
}

impl Library {
    /// Loads a file to see whether it loads. Both loaders first check that an ELF file is complete: the system's loader
    /// maps a truncated one, and the process dies later of a bus error.
    fn load(self, path: &Path) -> Result<(), InstallError> {
        match self {
            Self::OnnxRuntime => drop(ort::load(path, NonZeroUsize::MIN)?),
            Self::OneDnn => drop(OneDnn::load(path)?),
            Self::OpenVino => ort::load_provider(Provider::OpenVino, path)?,
            Self::Cuda => ort::load_provider(Provider::Cuda, path)?,
            Self::WebGpu => ort::load_provider(Provider::WebGpu, path)?,
        }
        Ok(())
    }
}

/// Runs pip and returns the one file that it leaves.
fn download(library: Library, wheel: &Wheel, into: &Path, python: &Path) -> Result<PathBuf, InstallError> {
    let arguments: [OsString; 14] = [
        "-m".into(),
        "pip".into(),
        "download".into(),
        "--disable-pip-version-check".into(),
        "--no-deps".into(),
        "--only-binary=:all:".into(),
        "--implementation=cp".into(),
        "--python-version=3.12".into(),
        "--platform".into(),
        wheel.tag.into(),
        "--quiet".into(),
        "--dest".into(),
        into.into(),
        library.spec().requirement.into(),
    ];
    let words = arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let failed = |reason: String| InstallError::Pip { command: format!("{} {words}", python.display()), reason };
    let output = Command::new(python).args(&arguments).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let files = fs::read_dir(into).map_err(|source| InstallError::Io { path: into.to_owned(), source })?;
    let package = files.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"));
    package.ok_or_else(|| failed("it left no package".to_owned()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    const WHEEL: Wheel = Wheel {
        os: "linux",
        arch: "x86_64",
        tag: "any",
        sha256: "",
        folder: "package",
        library: "library.so",
        companions: &["companion.so"],
    };

    fn package(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, content) in files {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn a_library_comes_with_its_companions_and_with_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("package/library.so", "l"), ("package/companion.so", "c"), ("package/other.so", "o")];
        let target = unpack(&WHEEL, package(&files), folder.path()).unwrap();
        assert_eq!(target, folder.path().join("library.so"));
        let mut names: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["companion.so", "library.so"]);
        assert_eq!(fs::read(folder.path().join("companion.so")).unwrap(), b"c");
    }

    #[test]
    fn a_library_is_not_there_before_its_companions() {
        let folder = tempfile::tempdir().unwrap();
        let error = unpack(&WHEEL, package(&[("package/library.so", "l")]), folder.path()).unwrap_err();
        assert!(matches!(error, InstallError::Unpack(zip::result::ZipError::FileNotFound)), "{error}");
        assert!(!folder.path().join("library.so").exists());
    }
}
