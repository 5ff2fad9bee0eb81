//! The page of a small report.

use models::preprocess::Preprocess;
use models::{Labels, ModelSpec};
use serde_json::json;
use trainer::metrics::Evaluation;

use super::ModelReport;

/// Two classes, one of them with a name that would be markup.
fn model() -> ModelReport {
    let evaluation = Evaluation::new(&[2.0, 0.0, 0.0, 2.0, 1.5, 0.0], &[0, 1, 1], 2);
    let answer = json!({
        "image": "rose/<1>.jpg", "truth": "rose", "predicted": "<b>tulip</b>", "score": 0.9, "truth_score": 0.1,
        "picture": "7.jpg"
    });
    let report = json!({
        "base": "resnet18", "labels": ["rose", "<b>tulip</b>"],
        "images": {"train": 4, "validation": 1, "test": 3, "skipped": 1, "cached": 2},
        "options": {"seed": 3, "views": 2}, "engine": "tract", "kernels": "rust f32",
        "seconds": {"data": 0.5, "features": 1.0, "training": 0.1, "export": 0.2, "parity": 0.3, "total": 2.1},
        "strategy": "staged", "best_epoch": 1,
        "epochs": [
            {"type": "epoch", "epoch": 1, "epochs": 2, "train_loss": 0.7, "validation_loss": 0.6, "validation_top1": 0.5},
            {"type": "epoch", "epoch": 2, "epochs": 2, "train_loss": 0.3, "validation_loss": 0.5, "validation_top1": 1.0}
        ],
        "validation": evaluation, "test": evaluation, "parity": [],
        "answers": {"mistakes": [answer], "uncertain": []}, "suspects": [],
    });
    let labels = Labels::new(vec!["rose".into(), "<b>tulip</b>".into()]);
    ModelReport {
        name: "flowers".parse().unwrap(),
        version: 2,
        spec: ModelSpec::new("resnet18", Some(labels), Preprocess::torchvision(32, 32)),
        report: serde_json::from_value(report).unwrap(),
    }
}

#[test]
fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
    let page = model().html(|_| Some(vec![0xff, 0xd8]));
    for part in ["http", "<script", "<link", "@import", "url(", "<iframe", "javascript:"] {
        assert!(!page.contains(part), "{part}");
    }
    assert!(page.contains("data:image/jpeg;base64,/9g="), "the picture is in the page");
    assert!(page.contains("prefers-color-scheme: dark"));
}

#[test]
fn names_of_classes_and_images_are_text_and_never_markup() {
    let page = model().html(|_| None);
    assert!(!page.contains("<b>tulip</b>") && page.contains("&lt;b&gt;tulip&lt;/b&gt;"));
    assert!(!page.contains("<1>") && page.contains("rose/&lt;1&gt;.jpg"));
}

#[test]
fn a_page_has_curves_classes_confusion_mistakes_and_the_command() {
    let page = model().html(|_| None);
    for part in [
        "<h1>flowers",
        "66.7\u{a0}%",
        "<polyline class=\"curve c0\"",
        "Confusion matrix",
        "Most confused pairs",
        "Worst mistakes",
        "graft finetune --base resnet18 --data PATH --name flowers",
        "--seed 3",
        "--views 2",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("NaN") && !page.contains("Labels to check"));
}

#[test]
fn reports_of_older_versions_have_a_page_too() {
    let mut old = model();
    for evaluation in [&mut old.report.test, &mut old.report.validation] {
        (evaluation.top1_interval, evaluation.macro_f1, evaluation.reliability) = (None, None, None);
    }
    old.report.answers = trainer::metrics::NotableAnswers::default();
    old.report.epochs.clear();
    let page = old.html(|_| None);
    assert!(page.contains("Confusion matrix") && !page.contains("NaN") && !page.contains("<polyline"), "{page}");
}
