//! What computes inside ONNX Runtime: asked for, refused, and said.

use std::path::{Path, PathBuf};

use fixtures::Library;
use serde_json::Value;
use tests::images::{base_model, example, write};
use tests::server::{Sandbox, Server, json, text};

const NO_LIBRARY: &str = "libonnxruntime_providers_openvino_plugin.so";

/// A folder with a model, and a file that is no library.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    write(&sandbox.path(NO_LIBRARY), b"no library");
    sandbox
}

/// The path of ONNX Runtime's library. It is taken from the environment by the program as well.
fn has_runtime() -> bool {
    Library::OnnxRuntime.path().is_some()
}

fn classes(server: &Server) -> Value {
    let answer = server.post("/classify/bytes?model=base", "image/bmp", example("red"));
    json(answer)["results"][0]["predictions"].clone()
}

/// How the model runs, once it does.
fn model(server: &Server) -> Value {
    server.wait("base", || {
        let model = json(server.get("/models/base"));
        (model["state"] != "LOADING").then_some(model)
    })
}

#[test]
fn openvino_by_name_is_had_or_refused() {
    let sandbox = sandbox();
    let named = sandbox.path(NO_LIBRARY);
    let tract = sandbox.fail(&["serve", "--port", "0", "--engine", "tract", "--provider", "openvino"]);
    assert!(tract.contains("--provider openvino computes inside ONNX Runtime, and the engine is tract"), "{tract}");
    if !has_runtime() {
        return;
    }
    let asked = ["serve", "--port", "0", "--engine", "ort", "--provider", "openvino", "--openvino-lib"];
    let error = sandbox.fail(&[&asked[..], &[text(&named)]].concat());
    for part in ["no usable OpenVINO", text(&named), "graft runtime install openvino", "--provider cpu"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    let error = sandbox.fail(&[&asked[..], &[text(&sandbox.path("missing.so"))]].concat());
    assert!(error.contains("cannot read"), "{error}");
}

/// The error of a server that is asked for a provider by name, with this library.
fn refusal(sandbox: &Sandbox, provider: &str, library: &Path) -> String {
    let flag = format!("--{provider}-lib");
    sandbox.fail(&["serve", "--port", "0", "--engine", "ort", "--provider", provider, &flag, text(library)])
}

#[test]
fn a_graphics_processor_by_name_is_had_or_refused() {
    let sandbox = sandbox();
    for (provider, title) in [("cuda", "CUDA"), ("webgpu", "WebGPU")] {
        let tract = sandbox.fail(&["serve", "--port", "0", "--engine", "tract", "--provider", provider]);
        let expected = format!("--provider {provider} computes inside ONNX Runtime, and the engine is tract");
        assert!(tract.contains(&expected), "{tract}");
        if !has_runtime() {
            continue;
        }
        let named = sandbox.path(NO_LIBRARY);
        let error = refusal(&sandbox, provider, &named);
        let (usable, install) = (format!("no usable {title}"), format!("graft runtime install {provider}"));
        for part in [&*usable, text(&named), &*install, "--provider cpu"] {
            assert!(error.contains(part), "{part}: {error}");
        }
        let error = refusal(&sandbox, provider, &sandbox.path("missing.so"));
        assert!(error.contains("cannot read"), "{error}");
        write(&sandbox.path("short.so"), &elf(b"", 4096));
        let error = refusal(&sandbox, provider, &sandbox.path("short.so"));
        assert!(error.contains("is truncated"), "{error}");
    }
}

/// The library in `onnxruntime-gpu` takes this symbol from the ONNX Runtime that it was built with; a plug-in takes none.
#[test]
fn cuda_of_another_onnx_runtime_is_refused_before_it_is_loaded() {
    if !has_runtime() {
        return;
    }
    let sandbox = sandbox();
    let library = sandbox.path("libonnxruntime_providers_cuda.so");
    write(&library, &elf(b"\0Provider_GetHost\0", 0));
    let error = refusal(&sandbox, "cuda", &library);
    for part in [text(&library), "works with the ONNX Runtime of its own package alone", "with --ort-lib"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    // Any other file is left to the loader.
    write(&library, &elf(b"\0Provider_GetHosts\0", 0));
    let error = refusal(&sandbox, "cuda", &library);
    assert!(error.contains("is not a usable CUDA provider") && error.contains("it needs NVIDIA's driver"), "{error}");
}

/// A 64-bit ELF file with a table of names, and with one segment of so many bytes more than it has, if any.
fn elf(names: &[u8], missing: u64) -> Vec<u8> {
    let mut file = vec![0; 64 + 64 + 56];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let mut put = |at: usize, number: u64, bytes: usize| {
        file[at..at + bytes].copy_from_slice(&number.to_le_bytes()[..bytes]);
    };
    put(40, 64, 8); // The table of sections, of one
    put(58, 64, 2);
    put(60, 1, 2);
    put(64 + 4, 3, 4); // names
    put(64 + 8, 2, 8); // that are loaded.
    put(64 + 24, 184, 8);
    put(64 + 32, names.len() as u64, 8);
    put(32, 128, 8); // The table of segments
    put(54, 56, 2);
    put(56, u64::from(missing > 0), 2);
    put(128 + 32, 184 + missing, 8);
    file.extend_from_slice(names);
    file
}

#[test]
fn what_computes_inside_onnx_runtime_is_not_fetched_without_it() {
    for provider in ["openvino", "webgpu", "cuda"] {
        let error = sandbox().fail(&["runtime", "install", provider, "--engine", "tract", "--python", "/nonexistent"]);
        assert!(error.contains("that is not loaded; run `graft runtime install` first"), "{error}");
    }
}

#[test]
fn installing_cuda_says_what_to_install() {
    if !has_runtime() {
        return;
    }
    let error = sandbox().fail(&["runtime", "install", "cuda", "--engine", "ort", "--python", "/nonexistent"]);
    for part in [
        "works with the ONNX Runtime of its own package alone",
        "pip install",
        "onnxruntime-gpu[cuda,cudnn]",
        "--ort-lib",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn auto_serves_without_openvino_and_says_why() {
    if !has_runtime() {
        return;
    }
    let sandbox = sandbox();
    let named = sandbox.path(NO_LIBRARY);
    let server = sandbox.serve(&["--engine", "ort", "--openvino-lib", text(&named)]);
    let model = model(&server);
    let providers = &model["engine"]["providers"];
    assert_eq!(providers["offered"], serde_json::json!(["cpu"]));
    let reason = providers["reason"].as_str().unwrap();
    assert!(reason.contains("OpenVINO is not used: ") && reason.contains(text(&named)), "{reason}");
    assert_eq!(model["plan"]["provider"], serde_json::json!({"provider": "cpu", "reason": reason}));
}

#[test]
fn an_engine_without_a_choice_has_none() {
    let server = sandbox().serve(&["--engine", "tract"]);
    let model = model(&server);
    assert!(model["engine"].get("providers").is_none() && model["plan"].get("provider").is_none(), "{model}");
}

#[test]
fn the_choice_is_an_option_like_the_others() {
    let sandbox = sandbox();
    write(&sandbox.path("graft.toml"), b"provider = \"cpu\"\n");
    let output = sandbox.succeed(&["config", "--config", text(&sandbox.path("graft.toml"))]);
    assert!(output.contains("provider = \"cpu\"  # file"), "{output}");
    let output = sandbox.succeed(&["config", "--provider", "openvino"]);
    assert!(output.contains("provider = \"openvino\"  # flag --provider"), "{output}");
}

/// With the library that `GRAFT_OPENVINO` names. It takes Intel's processors only; on another the server says so.
#[test]
fn openvino_gives_the_answers_of_onnx_runtime() {
    let Some(library) = library("GRAFT_OPENVINO").filter(|_| has_runtime()) else { return };
    let sandbox = sandbox();
    let asked = ["--engine", "ort", "--openvino-lib", text(&library), "--provider"];
    let cpu = sandbox.serve(&[&asked[..], &["cpu"]].concat());
    assert_eq!(model(&cpu)["plan"]["provider"]["reason"], "chosen by --provider");
    let expected = classes(&cpu);
    let auto = sandbox.serve(&[&asked[..], &["auto"]].concat());
    let answered = model(&auto);
    agree(&expected, &classes(&auto));
    let offered = &answered["engine"]["providers"]["offered"];
    if offered.as_array().is_some_and(|offered| offered.len() == 1) {
        let error = sandbox.fail(&[&["serve", "--port", "0"], &asked[..], &["openvino"]].concat());
        assert!(error.contains("OpenVINO's provider takes Intel's"), "{error}");
        fixtures::say_skipped("OpenVINO's provider takes no processor but Intel's");
        return;
    }
    let reason = answered["plan"]["provider"]["reason"].as_str().unwrap();
    assert!(reason.contains(" times as fast as cpu for an image that is alone, and "), "{reason}");
    let server = sandbox.serve(&[&asked[..], &["openvino"]].concat());
    let answered = model(&server);
    assert_eq!((&answered["state"], &answered["plan"]["provider"]["provider"]), (&"READY".into(), &"openvino".into()));
    agree(&expected, &classes(&server));
}

/// With the library that `GRAFT_WEBGPU` names.
#[test]
fn webgpu_gives_the_answers_of_onnx_runtime_or_says_that_there_is_no_device() {
    on_a_device_or_refused("webgpu", "GRAFT_WEBGPU", "WebGPU's provider takes those that Vulkan's loader");
}

/// With the library that `GRAFT_CUDA` names, and an ONNX Runtime that it works with.
#[test]
fn cuda_gives_the_answers_of_onnx_runtime_or_says_that_there_is_no_device() {
    on_a_device_or_refused("cuda", "GRAFT_CUDA", "CUDA's provider takes NVIDIA's, with their driver");
}

fn on_a_device_or_refused(provider: &str, variable: &str, takes: &str) {
    let Some(library) = library(variable).filter(|_| has_runtime()) else { return };
    let sandbox = sandbox();
    let flag = format!("--{provider}-lib");
    let asked = ["--engine", "ort", &flag, text(&library), "--provider"];
    let auto = sandbox.serve(&[&asked[..], &["auto"]].concat());
    let answered = model(&auto);
    if answered["engine"]["providers"]["offered"].as_array().is_some_and(|offered| offered.len() == 1) {
        let error = sandbox.fail(&[&["serve", "--port", "0"], &asked[..], &[provider]].concat());
        assert!(error.contains("offers no graphics processor here: ") && error.contains(takes), "{error}");
        let reason = answered["engine"]["providers"]["reason"].as_str().expect("a reason");
        assert!(answered["state"] == "READY" && reason.contains(takes), "{answered}");
        fixtures::say_skipped("there is no graphics processor");
        return;
    }
    let cpu = sandbox.serve(&[&asked[..], &["cpu"]].concat());
    let expected = classes(&cpu);
    agree(&expected, &classes(&auto));
    let server = sandbox.serve(&[&asked[..], &[provider]].concat());
    let answered = model(&server);
    assert_eq!((&answered["state"], &answered["plan"]["provider"]["provider"]), (&"READY".into(), &provider.into()));
    agree(&expected, &classes(&server));
}

/// The same classes, with scores that differ by what sums in another order make.
fn agree(expected: &Value, found: &Value) {
    let (expected, found) = (expected.as_array().expect("classes"), found.as_array().expect("classes"));
    let score = |class: &Value| class["score"].as_f64().expect("a number");
    assert_eq!(expected.len(), found.len());
    for (expected, found) in expected.iter().zip(found) {
        let difference = score(expected) - score(found);
        assert!(expected["label"] == found["label"] && difference.abs() < 1e-4, "{expected} {found}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a setting of the test, not of the program")]
fn library(variable: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).filter(|path| !path.is_empty());
    if path.is_none() {
        fixtures::say_skipped(&format!("set {variable} to the library of the provider"));
    }
    path.map(PathBuf::from)
}
