//! The native libraries: their packages, and where to look for them.

use onnx::Provider;

/// A native library that graft loads at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// ONNX Runtime, which runs models.
    OnnxRuntime,
    /// oneDNN, which trains.
    OneDnn,
    /// OpenVINO's provider, which computes inside ONNX Runtime.
    OpenVino,
    /// CUDA's provider.
    Cuda,
    /// WebGPU's provider.
    WebGpu,
}

/// The row of the table for one library.
#[derive(Debug)]
pub struct LibrarySpec {
    /// The Python package and its version, as pip writes them.
    pub requirement: &'static str,
    /// The package's builds, one for each platform.
    pub(super) wheels: &'static [Wheel],
    /// Whether a file of this name is the library.
    pub(super) is_library: fn(&str) -> bool,
    /// Where to look, in order, each with its name in messages.
    pub(super) locations: &'static [(&'static str, Location)],
    /// What a file that the user names means for the other locations.
    pub(super) named: NamedFile,
}

/// A build of a library's package.
#[derive(Debug)]
pub(super) struct Wheel {
    pub(super) os: &'static str,
    pub(super) arch: &'static str,
    pub(super) tag: &'static str,
    pub(super) sha256: &'static str,
    /// The library's folder in the package.
    pub(super) folder: &'static str,
    pub(super) library: &'static str,
    /// Files that the library needs beside it.
    pub(super) companions: &'static [&'static str],
}

/// A kind of place to look in.
#[derive(Debug)]
pub(super) enum Location {
    /// The executable's folder and `../lib`.
    BesideExecutable,
    /// A folder among the modules of the Python environment that the executable is in: pip may have installed both.
    Environment(&'static str),
    /// The folder that `graft runtime install` writes to.
    DataFolder,
    /// The folder of the ONNX Runtime that is loaded.
    BesideRuntime,
    /// A folder below each line that a Python program prints.
    Python { program: &'static str, folder: &'static str },
    /// Folders of the system.
    Folders(&'static [&'static str]),
    /// The system's loader, by these names.
    Loader(&'static [&'static str]),
}

/// What a file that the user names means for the other locations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedFile {
    /// It is tried before them.
    First,
    /// They are not tried.
    Only,
}

const ONNX_RUNTIME: LibrarySpec = LibrarySpec {
    requirement: "onnxruntime==1.32.0",
    wheels: &[
        Wheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_28_x86_64",
            sha256: "99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8",
            folder: "onnxruntime/capi",
            library: "libonnxruntime.so.1.32.0",
            companions: &[],
        },
        Wheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_28_aarch64",
            sha256: "e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054",
            folder: "onnxruntime/capi",
            library: "libonnxruntime.so.1.32.0",
            companions: &[],
        },
        Wheel {
            os: "macos",
            arch: "aarch64",
            tag: "macosx_14_0_arm64",
            sha256: "d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e",
            folder: "onnxruntime/capi",
            library: "libonnxruntime.1.32.0.dylib",
            companions: &[],
        },
    ],
    // Not the libraries of its providers, such as `libonnxruntime_providers_shared.so`.
    is_library: |name| {
        name == "onnxruntime.dll"
            || name == "libonnxruntime.so"
            || name.starts_with("libonnxruntime.so.")
            || (name.starts_with("libonnxruntime.") && name.ends_with(".dylib"))
    },
    locations: &[
        ("beside the executable", Location::BesideExecutable),
        ("in the Python environment of this program", Location::Environment("onnxruntime/capi")),
        ("in the data folder", Location::DataFolder),
        (
            "in the Python package onnxruntime",
            Location::Python {
                // Importing the package would take a second; finding it does not.
                program: "import importlib.util as u; s = u.find_spec('onnxruntime')\nfor p in s.submodule_search_locations if s else []: print(p)",
                folder: "capi",
            },
        ),
        (
            "in the system",
            Location::Folders(&[
                "/usr/local/lib",
                "/usr/lib/x86_64-linux-gnu",
                "/usr/lib/aarch64-linux-gnu",
                "/usr/lib64",
                "/usr/lib",
                "/opt/homebrew/lib",
            ]),
        ),
    ],
    named: NamedFile::First,
};

/// The names of oneDNN's file; the major version is part of them.
const ONEDNN_NAMES: [&str; 3] = ["libdnnl.so.3", "libdnnl.3.dylib", "dnnl.dll"];

const ONEDNN: LibrarySpec = LibrarySpec {
    requirement: "onednn-cpu-gomp==2023.2.0",
    // The build that needs no library but GCC's OpenMP.
    wheels: &[Wheel {
        os: "linux",
        arch: "x86_64",
        tag: "manylinux1_x86_64",
        sha256: "2f22a54d6a890ed14bfa185d42a4be65d8b5b1df85dc1f0f3a9abe31620416fb",
        folder: "onednn_cpu_gomp-2023.2.0.data/data/lib",
        library: "libdnnl.so.3",
        companions: &[],
    }],
    is_library: |name| ONEDNN_NAMES.contains(&name),
    locations: &[
        ("beside the executable", Location::BesideExecutable),
        ("in the data folder", Location::DataFolder),
        (
            "among the libraries of Python",
            // The package puts its files under the environment's prefix, not among its modules.
            Location::Python {
                program: "import sys, site; print(sys.prefix); print(site.getuserbase())",
                folder: "lib",
            },
        ),
        ("in the system", Location::Loader(&ONEDNN_NAMES)),
    ],
    named: NamedFile::Only,
};

const OPENVINO: LibrarySpec = LibrarySpec {
    requirement: "onnxruntime-ep-openvino==1.8.1",
    // The package has graphics and neural processors as well, and other forms of models, which are not needed.
    wheels: &[Wheel {
        os: "linux",
        arch: "x86_64",
        tag: "manylinux_2_28_x86_64",
        sha256: "3832643158c8c187fcab6db661cde2a8c06a2b3559d95d0f2411ac0e51c5e924",
        folder: "onnxruntime_ep_openvino",
        library: OPENVINO_NAME,
        companions: &[
            "libopenvino.so.2641",
            "libopenvino_intel_cpu_plugin.so",
            "libopenvino_onnx_frontend.so.2641",
            "libtbb.so.12",
            "libtbbmalloc.so.2",
        ],
    }],
    is_library: |name| name == OPENVINO_NAME,
    locations: &[
        ("beside the executable", Location::BesideExecutable),
        ("in the Python environment of this program", Location::Environment("onnxruntime_ep_openvino")),
        // Another Python is not asked for it, which would take a moment of every start.
        ("in the data folder", Location::DataFolder),
    ],
    named: NamedFile::Only,
};

const OPENVINO_NAME: &str = "libonnxruntime_providers_openvino_plugin.so";

const CUDA: LibrarySpec = LibrarySpec {
    requirement: "onnxruntime-gpu[cuda,cudnn]==1.31.1",
    // It fits the ONNX Runtime of its own package alone, and needs 1.4 GB of NVIDIA's packages.
    wheels: &[],
    is_library: |name| name == "libonnxruntime_providers_cuda.so",
    locations: &[
        ("beside the ONNX Runtime that is loaded", Location::BesideRuntime),
        ("beside the executable", Location::BesideExecutable),
        ("in the Python environment of this program", Location::Environment("onnxruntime_ep_cuda")),
        ("in the data folder", Location::DataFolder),
    ],
    named: NamedFile::Only,
};

const WEBGPU: LibrarySpec = LibrarySpec {
    requirement: "onnxruntime-ep-webgpu==0.4.0",
    wheels: &[
        Wheel {
            os: "linux",
            arch: "x86_64",
            tag: "manylinux_2_28_x86_64",
            sha256: "5d8c961eda91a88961cad1fb7621f389f006b18497d6ea9ecf96f729f066cbfb",
            folder: "onnxruntime_ep_webgpu",
            library: WEBGPU_NAMES[0],
            companions: &[],
        },
        Wheel {
            os: "linux",
            arch: "aarch64",
            tag: "manylinux_2_28_aarch64",
            sha256: "17f660db53b1a509c63e721ac6784a2daa1c4e91a968523ee9986505ee5b0a55",
            folder: "onnxruntime_ep_webgpu",
            library: WEBGPU_NAMES[0],
            companions: &[],
        },
        Wheel {
            os: "macos",
            arch: "aarch64",
            tag: "macosx_14_0_universal2",
            sha256: "8d0a91d44b43d931c3068b9134aed9770f27803e353c2b58c93e1700bb68bcca",
            folder: "onnxruntime_ep_webgpu",
            library: WEBGPU_NAMES[1],
            companions: &[],
        },
    ],
    is_library: |name| WEBGPU_NAMES.contains(&name),
    locations: &[
        ("beside the executable", Location::BesideExecutable),
        ("in the Python environment of this program", Location::Environment("onnxruntime_ep_webgpu")),
        ("in the data folder", Location::DataFolder),
    ],
    named: NamedFile::Only,
};

const WEBGPU_NAMES: [&str; 2] = ["libonnxruntime_providers_webgpu.so", "libonnxruntime_providers_webgpu.dylib"];

impl LibrarySpec {
    /// The places in words.
    pub(super) fn searched(&self) -> String {
        self.locations.iter().map(|(place, _)| *place).collect::<Vec<_>>().join(", ")
    }
}

impl Library {
    /// The library of a provider that has one.
    #[must_use]
    pub fn of(provider: Provider) -> Option<Self> {
        match provider {
            Provider::Cpu => None,
            Provider::OpenVino => Some(Self::OpenVino),
            Provider::Cuda => Some(Self::Cuda),
            Provider::WebGpu => Some(Self::WebGpu),
        }
    }

    /// What it adds to ONNX Runtime; `None` for libraries that compute by themselves.
    #[must_use]
    pub fn provider(self) -> Option<Provider> {
        Provider::PLUGINS.into_iter().find(|provider| Self::of(*provider) == Some(self))
    }

    /// The row of the table.
    #[must_use]
    pub fn spec(self) -> &'static LibrarySpec {
        match self {
            Self::OnnxRuntime => &ONNX_RUNTIME,
            Self::OneDnn => &ONEDNN,
            Self::OpenVino => &OPENVINO,
            Self::Cuda => &CUDA,
            Self::WebGpu => &WEBGPU,
        }
    }
}
