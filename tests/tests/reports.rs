//! The report of a fine-tune as a page, from the command line and over HTTP.

use std::fs;

use tests::images::{base_model, color_folders, write};
use tests::server::{Sandbox, json, text};

#[test]
fn a_report_is_one_page_or_json_as_the_client_accepts() {
    let sandbox = Sandbox::default();
    write(&sandbox.path("base.onnx"), &base_model());
    let _output = sandbox.succeed(&["import", text(&sandbox.path("base.onnx")), "--name", "base"]);
    let data = color_folders(sandbox.path("pictures"), 12);
    // An image in the folder of another class: a mistake or a doubtful label, whichever subset it falls into.
    fs::copy(data.join("red/000.bmp"), data.join("blue/red.bmp")).unwrap();
    let _output = sandbox.succeed(&["finetune", "--base", "base", "--data", text(&data), "--name", "colors"]);

    let out = sandbox.path("colors.html");
    let output = sandbox.succeed(&["report", "colors", "--out", text(&out)]);
    assert!(output.contains("wrote"), "{output}");
    let page = fs::read_to_string(&out).unwrap();
    for part in
        ["<h1>colors", "Confusion matrix", "blue/red.bmp", "data:image/jpeg;base64,", "graft finetune --base base"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains(text(&sandbox.path(""))), "the page tells no folder of this machine");
    assert!(!page.contains("<script") && !page.contains("http"));

    let server = sandbox.serve(&[]);
    let url = "/models/colors/versions/1/report";
    let report = json(server.get(url));
    assert_eq!(report["base"], "base");
    // The cells name the test images that the confusion matrix counts.
    let cells = report["answers"]["cells"].as_array().expect("cells");
    let counted = |cell: &serde_json::Value| {
        let [truth, predicted] = ["truth", "predicted"].map(|side| cell[side].as_u64().expect("a number") as usize);
        report["test"]["confusion"][truth][predicted] == cell["images"].as_array().expect("images").len()
    };
    assert!(!cells.is_empty() && cells.iter().all(counted), "{report}");
    let picture = report["answers"]["uncertain"][0]["picture"].as_str().expect("a picture");
    let shown = server.get(&format!("/models/colors/versions/1/pictures/{picture}"));
    assert_eq!((shown.status().as_u16(), &shown.headers()["content-type"]), (200, &"image/jpeg".parse().unwrap()));
    assert!(shown.bytes().expect("bytes").starts_with(&[0xff, 0xd8]), "a JPEG file");
    for file in ["none.jpg", "..%2fmodel.onnx", "..%2f..%2f1%2freport.json"] {
        let answer = server.get(&format!("/models/colors/versions/1/pictures/{file}"));
        assert_eq!((answer.status().as_u16(), &json(answer)["code"]), (404, &"image_not_found".into()), "{file}");
    }
    let shown = server.get_with(url, "accept", "text/html");
    assert_eq!(shown.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(shown.text().unwrap(), page);
    for (url, code) in [
        ("/models/base/versions/1/report", "report_not_found"),
        ("/models/colors/versions/9/report", "model_not_found"),
        ("/models/colors/versions/first/report", "model_not_found"),
        ("/models/nobody/versions/1/report", "model_not_found"),
    ] {
        let answer = server.get(url);
        assert_eq!(answer.status(), 404, "{url}");
        assert_eq!(json(answer)["code"], code, "{url}");
    }
    let error = sandbox.fail(&["report", "base"]);
    assert!(error.contains("no fine-tune made it"), "{error}");
}
