//! Putting the library of ONNX Runtime or oneDNN into the data folder.
//!
//! A library is its makers' own build out of the Python package. The user's pip fetches it, with the user's mirror,
//! proxy and certificates; graft opens no connection of its own and accepts only the file it knows by its hash.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use models::files::write_atomically;
use onnx::engine::ort;
use sha2::{Digest, Sha256};
use thiserror::Error;
use trainer::backend::{OneDnn, OneDnnError};

/// A library that can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// ONNX Runtime, for running models.
    OnnxRuntime,
    /// oneDNN, for training.
    OneDnn,
}

/// A library's package for one platform.
struct Wheel {
    os: &'static str,
    arch: &'static str,
    tag: &'static str,
    sha256: &'static str,
    /// Its folder in the package.
    folder: &'static str,
    library: &'static str,
}

const ONNX_RUNTIME: [Wheel; 3] = [
    Wheel {
        os: "linux",
        arch: "x86_64",
        tag: "manylinux_2_28_x86_64",
        sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
        folder: "onnxruntime/capi",
        library: "libonnxruntime.so.1.32.0",
    },
    Wheel {
        os: "linux",
        arch: "aarch64",
        tag: "manylinux_2_28_aarch64",
        sha256: "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
        folder: "onnxruntime/capi",
        library: "libonnxruntime.so.1.32.0",
    },
    Wheel {
        os: "macos",
        arch: "aarch64",
        tag: "macosx_14_0_arm64",
        sha256: "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
        folder: "onnxruntime/capi",
        library: "libonnxruntime.1.32.0.dylib",
    },
];

/// The build that needs nothing but the OpenMP library of GCC.
const ONEDNN: [Wheel; 1] = [Wheel {
    os: "linux",
    arch: "x86_64",
    tag: "manylinux1_x86_64",
    sha256: "2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb",
    folder: "onednn_cpu_gomp-2023.2.0.data/data/lib",
    library: "libdnnl.so.3",
}];

impl Library {
    /// The package of Python and its version, as pip writes them.
    #[must_use]
    pub fn requirement(self) -> &'static str {
        match self {
            Self::OnnxRuntime => "onnxruntime==1.32.0",
            Self::OneDnn => "onednn-cpu-gomp==2023.2.0",
        }
    }

    fn wheels(self) -> &'static [Wheel] {
        match self {
            Self::OnnxRuntime => &ONNX_RUNTIME,
            Self::OneDnn => &ONEDNN,
        }
    }

    /// Loads it, to see whether it does.
    fn load(self, path: &Path) -> Result<(), InstallError> {
        match self {
            Self::OnnxRuntime => drop(ort::load(path)?),
            Self::OneDnn => drop(OneDnn::load(path)?),
        }
        Ok(())
    }
}

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
    /// pip cannot be run or does not deliver.
    #[error("`{command}` failed: {reason}")]
    Pip {
        /// The command.
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
        /// Why.
        source: io::Error,
    },
    /// The library does not load on this machine.
    #[error("the library was unpacked but does not load here: {0}")]
    Load(#[from] ort::LoadError),
    /// The same of oneDNN.
    #[error("the library was unpacked but does not load here: {0}")]
    LoadOneDnn(#[from] OneDnnError),
}

/// Downloads the package with the user's own pip, checks its hash, and puts the library into this folder. The file
/// appears there only when it is complete and loads.
///
/// # Errors
/// [`InstallError`]; nothing is left in the folder then.
pub fn install(library: Library, folder: &Path, python: &Path) -> Result<PathBuf, InstallError> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let wheel = library.wheels().iter().find(|wheel| wheel.os == os && wheel.arch == arch);
    let wheel = wheel.ok_or(InstallError::Platform { package: library.requirement(), os, arch })?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| InstallError::Io { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let workspace = tempfile::tempdir_in(folder).map_err(failed(folder))?;
    let package = download(library, wheel, workspace.path(), python)?;
    let bytes = fs::read(&package).map_err(failed(&package))?;
    let found = hex::encode(Sha256::digest(&bytes));
    if found != wheel.sha256 {
        return Err(InstallError::Hash { found, expected: wheel.sha256 });
    }
    let mut archive = zip::ZipArchive::new(io::Cursor::new(bytes))?;
    let mut content = Vec::new();
    let member = format!("{}/{}", wheel.folder, wheel.library);
    archive.by_name(&member)?.read_to_end(&mut content).map_err(failed(&package))?;
    let target = folder.join(wheel.library);
    write_atomically(&target, &content).map_err(failed(&target))?;
    library.load(&target).inspect_err(|_| drop(fs::remove_file(&target)))?;
    Ok(target)
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
        library.requirement().into(),
    ];
    let shown = arguments.iter().map(|argument| argument.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let failed = |reason: String| InstallError::Pip { command: format!("{} {shown}", python.display()), reason };
    let output = Command::new(python).args(&arguments).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    let files = fs::read_dir(into).map_err(|source| InstallError::Io { path: into.to_owned(), source })?;
    let package = files.flatten().map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "whl"));
    package.ok_or_else(|| failed("it left no package".to_owned()))
}
