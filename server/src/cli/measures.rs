//! Results as people read them.

use std::io;

use trainer::metrics::{ClassResult, Evaluation};

use super::{output, percent};

/// The result in a line.
pub(super) fn summary(result: &Evaluation) -> String {
    let Evaluation { images, top1, top5, mean_average_precision, micro_f1, macro_f1, exact, .. } = result;
    if result.is_multi_label() {
        let [precision, micro, mean, exact] = [*mean_average_precision, *micro_f1, *macro_f1, *exact].map(percent);
        return format!(
            "mAP {precision}, micro F1 {micro}, macro F1 {mean}, all classes right {exact} of {images} images"
        );
    }
    let interval = result.top1_interval.map_or(String::new(), |interval| {
        format!(" (95 % interval {:.1} to {:.1} %)", 100.0 * interval.low, 100.0 * interval.high)
    });
    format!("top-1 {:.1} %{interval}, top-5 {:.1} % of {images} images", 100.0 * top1, 100.0 * top5)
}

/// So many classes of an image that may show several, those with the least average precision first.
pub(super) fn print_labels(labels: &[String], classes: &[ClassResult], most: usize) -> io::Result<()> {
    let mut classes: Vec<(&ClassResult, &String)> =
        classes.iter().zip(labels).filter(|(class, _)| class.support > 0).collect();
    let key = |class: &ClassResult| class.average_precision.unwrap_or(1.0);
    classes.sort_by(|(a, _), (b, _)| key(a).total_cmp(&key(b)));
    let row = |(class, label): &(&ClassResult, &String)| {
        let [average, precision, recall, f1] =
            [class.average_precision, class.precision, class.recall, class.f1].map(percent);
        let threshold = class.threshold.map_or("-".to_owned(), |threshold| format!("{threshold:.2}"));
        [(*label).clone(), class.support.to_string(), average, precision, recall, f1, threshold]
    };
    let rows: Vec<[String; 7]> = classes.iter().take(most).map(row).collect();
    output::table(["HARDEST CLASSES", "IMAGES", "AP", "PRECISION", "RECALL", "F1", "THRESHOLD"], &rows)
}
