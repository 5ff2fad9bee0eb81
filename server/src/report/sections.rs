//! The sections of the page, from the result to how to repeat it.

use onnx::Provider;
use serde_json::Value;
use trainer::events::Event;
use trainer::finetune::report::FinetuneReport;
use trainer::finetune::{CalibrationImages, DeployDecision, FoldResult, HeadCandidate};
use trainer::metrics::{ClassResult, ConfidenceInterval, Evaluation, ImageAnswer, confused_pairs};

use super::charts::{Curve, curves, matrix, reliability};
use super::html::{Cell, data_uri, escaped, paragraph, percent, section, table};
use super::{ModelReport, command};

/// Larger matrices are not looked at as a picture.
const MATRIX: usize = 60;
/// Rows of tables that could be as long as there are classes.
const ROWS: usize = 100;
/// Confused pairs that are listed.
const PAIRS: usize = 15;

/// What a file of the report's pictures holds.
type Pictures<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// All sections in their order.
pub(super) fn all(model: &ModelReport, picture: Pictures<'_>) -> String {
    let report = &model.report;
    let sections = [
        summary(model),
        deployment(report),
        folds(report),
        training(report),
        calibration(report),
        classes(report),
        confusion(report),
        pictures(report, picture),
        suspects(report, picture),
        data(report),
        record(model),
        repetition(model),
    ];
    sections.concat()
}

fn summary(model: &ModelReport) -> String {
    let FinetuneReport { base, strategy, test, images, labels, seconds, calibration, .. } = &model.report;
    let mut tiles = vec![];
    if test.images > 0 {
        tiles.extend(results(test));
        let before = calibration.and_then(|calibration| calibration.ece_before);
        let before = before.map_or(String::new(), |before| format!("; {} before calibration", percent(before)));
        tiles.extend(
            test.reliability
                .as_ref()
                .map(|reliability| (percent(reliability.ece), format!("calibration error of scores{before}"))),
        );
    }
    tiles.push((labels.len().to_string(), "classes".to_owned()));
    tiles.push((images.train.to_string(), "training images".to_owned()));
    tiles.push((duration(seconds.total), "from images to model".to_owned()));
    let tiles: String = tiles
        .into_iter()
        .map(|(number, text)| {
            format!("<div class=\"tile\"><b>{}</b><span>{}</span></div>\n", escaped(&number), escaped(&text))
        })
        .collect();
    format!(
        "<header>\n<h1>{} <span class=\"quiet\">version {}</span></h1>\n<p class=\"quiet\">A head grafted on {}, strategy {}.</p>\n\
         <div class=\"tiles\">\n{tiles}</div>\n</header>\n",
        escaped(model.name.as_str()),
        model.version,
        escaped(base),
        strategy.name()
    )
}

/// What became of the version.
fn deployment(report: &FinetuneReport) -> String {
    let Some(deployment) = &report.deployment else { return String::new() };
    let title = match deployment.decision {
        DeployDecision::Refused => "Not deployed",
        DeployDecision::First | DeployDecision::Stored | DeployDecision::Promoted | DeployDecision::Shadow => {
            "Deployment"
        }
    };
    section(title, &paragraph(format!("When the version was published: {}.", deployment.reason)))
}

/// The main figures.
fn results(test: &Evaluation) -> Vec<(String, String)> {
    let mut tiles = vec![];
    if test.is_multi_label() {
        let map = test.mean_average_precision;
        tiles.extend(map.map(|map| (percent(map), format!("mean average precision, {} test images", test.images))));
        tiles.extend(test.micro_f1.map(|f1| (percent(f1), "F1 of all decisions (micro)".to_owned())));
        tiles.extend(test.exact.map(|exact| (percent(exact), "all classes of an image right".to_owned())));
    } else {
        let interval = test.top1_interval.map_or(String::new(), |interval| {
            format!("95 % interval {:.1} to {:.1} %", 100.0 * interval.low, 100.0 * interval.high)
        });
        tiles.push((percent(test.top1), format!("top-1 of {} test images; {interval}", test.images)));
        tiles.push((percent(test.top5), "top-5".to_owned()));
    }
    tiles.extend(test.macro_f1.map(|f1| (percent(f1), "F1, mean of the classes".to_owned())));
    tiles
}

/// The results of models that were trained without a part of the images each.
fn folds(report: &FinetuneReport) -> String {
    let Some(results) = &report.folds else { return String::new() };
    let text = format!(
        "The images were divided into {} parts. Each part measured a model that was trained on the others, so that every image \
         was tested once: mean {}, standard deviation {:.1} points. All figures of this page are of these tests; the model \
         itself was trained on all images.",
        results.folds.len(),
        percent(results.mean),
        100.0 * results.deviation
    );
    let row = |(number, fold): (usize, &FoldResult)| {
        let interval = ConfidenceInterval::wilson((fold.result * fold.images as f64).round() as usize, fold.images);
        let interval = interval.filter(|_| !report.test.is_multi_label());
        let interval =
            interval.map_or("–".to_owned(), |ends| format!("{:.0}–{:.0} %", 100.0 * ends.low, 100.0 * ends.high));
        vec![
            Cell::Number(number.to_string()),
            Cell::Number(fold.images.to_string()),
            Cell::Share(Some(fold.result)),
            Cell::Number(interval),
        ]
    };
    let rows: Vec<Vec<Cell>> = (1..).zip(&results.folds).map(row).collect();
    let result = if report.test.is_multi_label() { "mAP" } else { "right" };
    let content = paragraph(text) + &table(&["fold", "images", result, "its 95 % interval"], &rows);
    section("Folds", &content)
}

fn duration(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// Curves where there were epochs, and the kinds of head that were tried.
fn training(report: &FinetuneReport) -> String {
    let mut content = String::new();
    let epochs: Vec<(f64, Option<f64>, Option<f64>)> = report
        .epochs
        .iter()
        .filter_map(|event| match event {
            Event::Epoch { train_loss, validation_loss, validation_top1, .. } => {
                Some((*train_loss, *validation_loss, *validation_top1))
            }
            _ => None,
        })
        .collect();
    if !epochs.is_empty() {
        let losses = [
            Curve { name: "training", points: epochs.iter().map(|epoch| Some(epoch.0)).collect() },
            Curve { name: "validation", points: epochs.iter().map(|epoch| epoch.1).collect() },
        ];
        let right = match report.test.is_multi_label() {
            true => "Share of validation images whose likeliest class is right",
            false => "Share of validation images that are right",
        };
        let top1 = [Curve { name: "validation", points: epochs.iter().map(|epoch| epoch.2).collect() }];
        let charts = [curves("Cross-entropy", &losses), curves(right, &top1)];
        content += &format!("<div class=\"figures\">\n{}</div>\n", charts.concat());
        if let Some(best) = report.best_epoch {
            content += &paragraph(format!("The model has the weights of epoch {best}."));
        }
    }
    if let Some(head) = &report.head {
        content += &paragraph(format!(
            "The head was chosen by cross-validation on {} training images: each was left out once, and classified by heads that \
             were trained without it. The first row is the head that was taken; rows with fewer images were clearly worse on those.",
            head.images
        ));
        let row = |candidate: &HeadCandidate| {
            vec![
                Cell::Text(candidate.transform.to_string()),
                Cell::Share(Some(candidate.mean_average_precision.unwrap_or(candidate.top1))),
                Cell::Number(candidate.images.to_string()),
                Cell::Number(format!("{:.3}", candidate.loss)),
                Cell::Number(format!("{}", candidate.strength)),
            ]
        };
        let rows: Vec<Vec<Cell>> = head.candidates.iter().map(row).collect();
        let right = if report.test.is_multi_label() { "mAP while left out" } else { "right while left out" };
        content += &table(&["features", right, "images", "cross-entropy", "strength"], &rows);
    }
    if content.is_empty() { content } else { section("Training", &content) }
}

fn calibration(report: &FinetuneReport) -> String {
    let Some(measured) = report.test.reliability.as_ref().filter(|_| report.test.images > 0) else {
        return String::new();
    };
    let text = match report.calibration {
        Some(calibration) => {
            let images = match calibration.fitted_on {
                CalibrationImages::CrossValidation => "training images, each left out once",
                CalibrationImages::Validation => "validation images",
            };
            format!(
                "All logits are divided by {:.3}, which was fitted on {} {images}. The calibration error of the test images is {} \
                 instead of {}.",
                calibration.temperature,
                calibration.images,
                percent(measured.ece),
                calibration.ece_before.map_or("–".to_owned(), percent)
            )
        }
        None => format!("Scores are as the training left them: calibration error {}.", percent(measured.ece)),
    };
    let certainty = report
        .certainty
        .map_or(String::new(), |certainty| paragraph(format!("When graft serves the model, {certainty}.")));
    let chart = reliability("Whether scores mean what they say", measured);
    section("Scores", &format!("{}{certainty}<div class=\"figures\">\n{chart}</div>\n", paragraph(text)))
}

fn classes(report: &FinetuneReport) -> String {
    if report.test.is_multi_label() {
        return labels(report);
    }
    let mut classes: Vec<(&String, &ClassResult)> = report.labels.iter().zip(&report.test.classes).collect();
    classes.sort_by(|(_, a), (_, b)| a.f1.unwrap_or(2.0).total_cmp(&b.f1.unwrap_or(2.0)));
    let interval = |class: &ClassResult| {
        class
            .recall_interval
            .map_or("–".to_owned(), |ends| format!("{:.0}–{:.0} %", 100.0 * ends.low, 100.0 * ends.high))
    };
    let row = |(label, class): &(&String, &ClassResult)| {
        vec![
            Cell::Text((*label).clone()),
            Cell::Number(class.support.to_string()),
            Cell::Share(class.precision),
            Cell::Share(class.recall),
            Cell::Number(interval(class)),
            Cell::Share(class.f1),
        ]
    };
    let rows: Vec<Vec<Cell>> = classes.iter().take(ROWS).map(row).collect();
    let more = classes.len().saturating_sub(ROWS);
    let more = if more > 0 { paragraph(format!("{more} more classes are better than these.")) } else { String::new() };
    let headings = ["class", "test images", "precision", "recall", "its 95 % interval", "F1"];
    section("Classes, the hardest first", &(table(&headings, &rows) + &more))
}

/// Classes that stand beside each other.
fn labels(report: &FinetuneReport) -> String {
    let mut classes: Vec<(&String, &ClassResult)> = report.labels.iter().zip(&report.test.classes).collect();
    let key = |class: &ClassResult| class.average_precision.unwrap_or(2.0);
    classes.sort_by(|(_, a), (_, b)| key(a).total_cmp(&key(b)));
    let row = |(label, class): &(&String, &ClassResult)| {
        vec![
            Cell::Text((*label).clone()),
            Cell::Number(class.support.to_string()),
            Cell::Share(class.average_precision),
            Cell::Share(class.precision),
            Cell::Share(class.recall),
            Cell::Share(class.f1),
            Cell::Number(class.threshold.map_or("–".to_owned(), |threshold| format!("{threshold:.2}"))),
        ]
    };
    let rows: Vec<Vec<Cell>> = classes.iter().take(ROWS).map(row).collect();
    let headings = ["class", "test images", "average precision", "precision", "recall", "F1", "threshold"];
    let text = "An image may show several classes, or none. Each counts as said from its threshold on, a score that was chosen for \
                the best F1 on images that the head was not trained on.";
    let more = classes.len().saturating_sub(ROWS);
    let more = if more > 0 { paragraph(format!("{more} more classes are better than these.")) } else { String::new() };
    section("Classes, the hardest first", &(paragraph(text) + &table(&headings, &rows) + &more))
}

fn confusion(report: &FinetuneReport) -> String {
    if report.test.is_multi_label() {
        // Classes that stand beside each other are not taken for one another.
        return String::new();
    }
    let confusion = &report.test.confusion;
    let pairs = confused_pairs(confusion);
    let mut content = match report.labels.len() <= MATRIX {
        true => matrix(&report.labels, confusion),
        false => paragraph("There are too many classes for the matrix as a picture; it is in the report as JSON."),
    };
    if pairs.is_empty() {
        content += &paragraph("No test image is taken for another class.");
    } else {
        let support = |class: usize| report.test.classes.get(class).map_or(0, |class| class.support);
        let label = |class: usize| Cell::Text(report.labels.get(class).cloned().unwrap_or_default());
        let rows: Vec<Vec<Cell>> = pairs
            .iter()
            .take(PAIRS)
            .map(|pair| {
                let of = format!("{} of {}", pair.images, support(pair.truth));
                vec![label(pair.truth), label(pair.predicted), Cell::Number(of)]
            })
            .collect();
        content += "<h3>Most confused pairs</h3>\n";
        content += &table(&["class", "taken for", "images"], &rows);
    }
    section("Confusion matrix of the test images", &content)
}

fn pictures(report: &FinetuneReport, picture: Pictures<'_>) -> String {
    let answers = &report.answers;
    let mut content = String::new();
    if !answers.mistakes.is_empty() {
        content += "<h3>Worst mistakes: the surest wrong answers</h3>\n";
        content += &gallery(&answers.mistakes, picture);
    }
    if !answers.uncertain.is_empty() {
        content += "<h3>Most uncertain answers, right or wrong</h3>\n";
        content += &gallery(&answers.uncertain, picture);
    }
    if content.is_empty() { content } else { section("Test images worth a look", &content) }
}

fn suspects(report: &FinetuneReport, picture: Pictures<'_>) -> String {
    if report.suspects.is_empty() {
        return String::new();
    }
    let text = "Heads that were trained without these training images take them for another class. Some of the labels may be \
                wrong; others are hard images with right labels.";
    section("Labels to check", &(paragraph(text) + &gallery(&report.suspects, picture)))
}

fn gallery(answers: &[ImageAnswer], picture: Pictures<'_>) -> String {
    let card = |answer: &ImageAnswer| {
        let bytes = answer.picture.as_deref().and_then(picture);
        let image = match &bytes {
            Some(bytes) => format!("<img src=\"{}\" alt=\"{}\">", data_uri(bytes), escaped(&answer.image)),
            None => "<span class=\"none\"></span>".to_owned(),
        };
        let text = if answer.truth == answer.predicted {
            format!("<b>{}</b> {}", escaped(&answer.truth), percent(answer.score))
        } else {
            format!(
                "<b>{}</b> {}<br>taken for <b>{}</b> {}",
                escaped(&answer.truth),
                percent(answer.truth_score),
                escaped(&answer.predicted),
                percent(answer.score)
            )
        };
        format!(
            "<div class=\"picture\">{image}<div>{text}<span class=\"name\">{}</span></div></div>\n",
            escaped(&answer.image)
        )
    };
    format!("<div class=\"pictures\">\n{}</div>\n", answers.iter().map(card).collect::<String>())
}

fn data(report: &FinetuneReport) -> String {
    let Some(dataset) = &report.dataset else { return String::new() };
    let mut content =
        paragraph(format!("{} images, layout {}: {}.", dataset.images, dataset.layout.name(), dataset.evidence));
    content += &paragraph(match &dataset.given_subsets[..] {
        [] => "Subsets were drawn by the seed.".to_owned(),
        given => format!("The data set gives the subsets {}.", given.join(", ")),
    });
    let rows: Vec<Vec<Cell>> = dataset
        .classes
        .iter()
        .take(ROWS)
        .map(|class| {
            let numbers = [class.train, class.validation, class.test].map(|count| Cell::Number(count.to_string()));
            std::iter::once(Cell::Text(class.name.clone())).chain(numbers).collect()
        })
        .collect();
    content += &table(&["class", "train", "validation", "test"], &rows);
    let more = dataset.classes.len().saturating_sub(ROWS);
    if more > 0 {
        content += &paragraph(format!("and {more} more classes"));
    }
    if report.images.skipped > 0 {
        content += &paragraph(format!("{} files could not be used.", report.images.skipped));
    }
    for omission in &dataset.omissions {
        let examples = omission.examples.join(", ");
        content += &paragraph(format!("Left out {} ({}): {examples}", omission.reason.describe(), omission.count));
    }
    for warning in &dataset.warnings {
        content += &paragraph(format!("Warning: {warning}"));
    }
    section("Data", &content)
}

/// The engine, and what computed inside it if that was not its own kernels.
fn engine(report: &FinetuneReport) -> String {
    match report.provider {
        None | Some(Provider::Cpu) => report.engine.to_string(),
        Some(provider) => format!("{} with {provider}", report.engine),
    }
}

/// What was done, as names and values.
fn record(model: &ModelReport) -> String {
    let report = &model.report;
    let text = |name: &str, value: String| vec![Cell::Text(name.to_owned()), Cell::Text(value)];
    let seconds = &report.seconds;
    let mut rows = vec![
        text("base", report.base.clone()),
        text("strategy", report.strategy.name().to_owned()),
        text(
            "features by",
            format!("{}, {} of {} images from the cache", engine(report), report.images.cached, images(report)),
        ),
        text("layers trained by", report.kernels.clone()),
        text(
            "seconds",
            format!(
                "data {:.1}, features {:.1}, training {:.1}, {}export {:.1}, parity {:.1}",
                seconds.data,
                seconds.features,
                seconds.training,
                seconds.tuning.map_or(String::new(), |tuning| format!("tuning {tuning:.1}, ")),
                seconds.export,
                seconds.parity
            ),
        ),
    ];
    for parity in &report.parity {
        let agreement = format!("{} images, logits within {:.1e} of the largest", parity.images, parity.difference);
        rows.push(text(&format!("parity on {}", parity.engine), agreement));
    }
    if let Some(record) = &model.spec.training {
        rows.push(text("program", record.created_by.clone()));
        rows.push(text("SHA-256 of the base's weights", record.base_sha256.clone()));
        rows.push(text("SHA-256 of the images and classes", record.dataset_sha256.clone()));
    }
    let mut options = vec![];
    flatten("", &serde_json::json!(report.options), &mut options);
    let options: Vec<Vec<Cell>> = options.into_iter().map(|(name, value)| text(&name, value)).collect();
    let content = table(&["what", "how"], &rows) + "<h3>Options</h3>\n" + &table(&["option", "value"], &options);
    section("What was done", &content)
}

fn images(report: &FinetuneReport) -> usize {
    report.images.train + report.images.validation + report.images.test
}

fn flatten(path: &str, value: &Value, options: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, options);
            }
        }
        Value::String(text) => options.push((path.to_owned(), text.clone())),
        value => options.push((path.to_owned(), value.to_string())),
    }
}

fn repetition(model: &ModelReport) -> String {
    let mut command = vec![format!("graft finetune --base {} --data PATH --name {}", model.report.base, model.name)];
    command.extend(command::arguments(&model.report.options));
    let text = "PATH is where the images are. With the same images, base and options, the same backend and as many threads, the \
                result is the same to the bit.";
    section("How to repeat it", &format!("<pre>{}</pre>\n{}", escaped(&command.join(" \\\n    ")), paragraph(text)))
}
