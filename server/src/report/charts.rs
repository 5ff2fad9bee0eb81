//! Charts as SVG, in the colors of the page.

use std::fmt::Write;

use trainer::metrics::Reliability;

use super::html::escaped;

/// The size of a chart, in units of its own.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 260.0;
/// Room for the numbers to the left and below.
const LEFT: f64 = 52.0;
const BELOW: f64 = 34.0;
const EDGE: f64 = 24.0;

/// One curve: its name and a number for each epoch, from the first on.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<Option<f64>>,
}

/// Curves over epochs.
pub(super) fn curves(caption: &str, curves: &[Curve<'_>]) -> String {
    let numbers = curves.iter().flat_map(|curve| curve.points.iter().flatten()).filter(|number| number.is_finite());
    let (low, high) =
        numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &number| (low.min(number), high.max(number)));
    if !low.is_finite() {
        return String::new();
    }
    let epochs = curves.iter().map(|curve| curve.points.len()).max().unwrap_or(0);
    let axis = Axis::new(low, high);
    let x = |epoch: usize| LEFT + (WIDTH - LEFT - EDGE) * epoch as f64 / (epochs.max(2) - 1) as f64;
    let mut chart = axis.lines(|value, digits| format!("{value:.digits$}"));
    let step = (epochs as f64 / 8.0).ceil().max(1.0) as usize;
    for epoch in (0..epochs).step_by(step) {
        label(&mut chart, (x(epoch), HEIGHT - BELOW + 18.0), "middle", &(epoch + 1).to_string());
    }
    for (number, curve) in curves.iter().enumerate() {
        let points = curve.points.iter().enumerate();
        let points =
            points.filter_map(|(epoch, value)| Some((x(epoch), axis.y(value.filter(|value| value.is_finite())?))));
        let points: Vec<(f64, f64)> = points.collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(chart, "<polyline class=\"curve c{number}\" points=\"{}\"/>", path.join(" "));
        if let [(x, y)] = points[..] {
            let _ = writeln!(chart, "<circle class=\"point c{number}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        }
    }
    let legend: String = curves
        .iter()
        .enumerate()
        .map(|(number, curve)| format!("<span class=\"key c{number}\">{}</span> ", escaped(curve.name)))
        .collect();
    figure(caption, &chart, &format!("{legend}by epoch"))
}

/// How often answers are right, by their score.
pub(super) fn reliability(caption: &str, reliability: &Reliability) -> String {
    let axis = Axis::new(0.0, 1.0);
    let mut chart = axis.lines(|value, _| format!("{:.0} %", 100.0 * value));
    let width = (WIDTH - LEFT - EDGE) / reliability.bins.len().max(1) as f64;
    let most = reliability.bins.iter().map(|bin| bin.images).max().unwrap_or(0).max(1);
    for (number, bin) in reliability.bins.iter().enumerate().filter(|(_, bin)| bin.images > 0) {
        let (left, top) = (LEFT + number as f64 * width, axis.y(bin.accuracy));
        let height = HEIGHT - BELOW - top;
        // Bins of few images say little.
        let weight = 0.25 + 0.75 * (bin.images as f64 / most as f64).sqrt();
        let title = format!(
            "{} images, mean score {:.1} %, right {:.1} %",
            bin.images,
            100.0 * bin.score,
            100.0 * bin.accuracy
        );
        let _ = writeln!(
            chart,
            "<rect class=\"column\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\" \
             fill-opacity=\"{weight:.2}\"><title>{}</title></rect>",
            left + 1.0,
            width - 2.0,
            escaped(&title)
        );
    }
    let (x0, y0, x1, y1) = (LEFT, axis.y(0.0), WIDTH - EDGE, axis.y(1.0));
    let _ = writeln!(chart, "<line class=\"ideal\" x1=\"{x0}\" y1=\"{y0}\" x2=\"{x1}\" y2=\"{y1}\"/>");
    for tenth in [0, 2, 4, 6, 8, 10] {
        let x = LEFT + (WIDTH - LEFT - EDGE) * f64::from(tenth) / 10.0;
        label(&mut chart, (x, HEIGHT - BELOW + 18.0), "middle", &format!("{} %", 10 * tenth));
    }
    figure(
        caption,
        &chart,
        "share of right answers by highest score; on the line scores mean what they say; pale columns have few images",
    )
}

/// A confusion matrix: a row for each class, a column for each class that images are taken for.
pub(super) fn matrix(labels: &[String], confusion: &[Vec<usize>]) -> String {
    let columns: String = (1..=labels.len())
        .map(|number| format!("<th scope=\"col\" title=\"{}\">{number}</th>", escaped(&labels[number - 1])))
        .collect();
    let row = |(number, row): (usize, &Vec<usize>)| {
        let all: usize = row.iter().sum();
        let cell = |(predicted, &images): (usize, &usize)| {
            if images == 0 {
                return "<td></td>".to_owned();
            }
            let share = images as f64 / all.max(1) as f64;
            let kind = if predicted == number { "right" } else { "wrong" };
            let title = format!("{images} of {all} images of {} taken for {}", labels[number], labels[predicted]);
            format!("<td class=\"{kind}\" style=\"--share:{share:.3}\" title=\"{}\">{images}</td>", escaped(&title))
        };
        let cells: String = row.iter().enumerate().map(cell).collect();
        format!("<tr><th scope=\"row\">{} <b>{}</b></th>{cells}</tr>\n", escaped(&labels[number]), number + 1)
    };
    let rows: String = confusion.iter().enumerate().map(row).collect();
    format!(
        "<div class=\"scroll\"><table class=\"matrix\">\n<thead><tr><th>class, and which it is taken for</th>{columns}</tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table></div>\n"
    )
}

fn figure(caption: &str, chart: &str, legend: &str) -> String {
    format!(
        "<figure>\n<figcaption>{}</figcaption>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n{chart}</svg>\n\
         <p class=\"legend\">{legend}</p>\n</figure>\n",
        escaped(caption),
        escaped(caption)
    )
}

fn label(chart: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(chart, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escaped(text));
}

/// A vertical axis with round numbers.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    fn new(low: f64, high: f64) -> Self {
        let range = if high - low > 1e-9 { high - low } else { high.abs().max(1.0) };
        let size = 10.0_f64.powf((range / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * size).into_iter().find(|step| range / step <= 5.0);
        let step = step.unwrap_or(10.0 * size);
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high: if high > low { high } else { low + step }, step }
    }

    fn y(&self, value: f64) -> f64 {
        EDGE + (HEIGHT - BELOW - EDGE) * (self.high - value) / (self.high - self.low)
    }

    /// The lines of the round numbers.
    fn lines(&self, text: impl Fn(f64, usize) -> String) -> String {
        let mut chart = String::new();
        let digits = (-self.step.log10().floor()).max(0.0) as usize;
        let count = ((self.high - self.low) / self.step).round() as usize;
        for number in 0..=count {
            let value = self.low + number as f64 * self.step;
            let y = self.y(value);
            let _ = writeln!(
                chart,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\"/>",
                WIDTH - EDGE
            );
            label(&mut chart, (LEFT - 8.0, y + 4.0), "end", &text(value, digits));
        }
        chart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_round_numbers_around_what_it_shows() {
        let ends = |low, high| {
            let axis = Axis::new(low, high);
            (axis.low, axis.high, axis.step)
        };
        assert_eq!(ends(0.0, 1.0), (0.0, 1.0, 0.2));
        assert_eq!(ends(3.0, 47.0), (0.0, 50.0, 10.0));
        let (low, high, step) = ends(2.0, 2.0);
        assert!(low <= 2.0 && high > 2.0 && step > 0.0, "{low} {high} {step}");
    }

    #[test]
    fn curves_of_nothing_are_no_chart() {
        assert_eq!(curves("loss", &[Curve { name: "training", points: vec![Some(f64::NAN), None] }]), "");
        let one = curves("loss", &[Curve { name: "training", points: vec![Some(1.5)] }]);
        assert!(one.contains("<circle") && !one.contains("NaN"), "{one}");
    }
}
