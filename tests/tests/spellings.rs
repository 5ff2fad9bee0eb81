//! Every spelling of an operator that files in the wild use: read as ONNX's reference implementation means it, the same on
//! every engine when written again, and the same graph when that is read once more.

use std::collections::BTreeMap;
use std::path::Path;

use models::preprocess::ImageBatch;
use models::{Labels, ModelSpec, Network, Preprocess};
use onnx::export::{BatchNormalization, PixelNormalization, WeightPrecision};
use onnx::parity::relative_difference;
use onnx::{ExportOptions, engine, export};
use tests::library;
use tests::recorded::Recorded;
use trainer::backend::CpuExecutor;

/// Sums of some hundred numbers in another order.
const TOLERANCE: f64 = 1e-5;
/// The reference rounds between the layers of this one, as its file says; graft computes in single precision.
const HALF_NETWORK: (&str, f64) = ("half_network", 1e-2);

const FORMS: [ExportOptions; 4] = [
    form(13, BatchNormalization::Keep, WeightPrecision::F32),
    form(17, BatchNormalization::Fold, WeightPrecision::F32),
    form(20, BatchNormalization::Keep, WeightPrecision::F32),
    form(17, BatchNormalization::Keep, WeightPrecision::Half),
];

const fn form(opset: i64, batch_norm: BatchNormalization, weights: WeightPrecision) -> ExportOptions {
    ExportOptions { opset, batch_norm, weights, normalization: PixelNormalization::Inside }
}

#[test]
fn every_spelling_means_what_the_reference_says() {
    let _ort = library::load();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let text = std::fs::read_to_string(folder.join("spellings.json")).unwrap();
    // Written by tests/reference/spellings.py.
    let table: BTreeMap<String, Recorded> = serde_json::from_str(&text).unwrap();
    let failures: Vec<String> = table
        .iter()
        .filter_map(|(name, recorded)| {
            let file = std::fs::read(folder.join("spellings").join(format!("{name}.onnx"))).unwrap();
            check(name, file, recorded).err().map(|reason| format!("{name}: {reason}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), table.len(), failures.join("\n"));
}

fn check(name: &str, file: Vec<u8>, recorded: &Recorded) -> Result<(), Box<dyn std::error::Error>> {
    let imported = onnx::import(file)?;
    let (channels, height, width) = imported.graph.chw(imported.graph.input())?;
    let input = recorded.input(channels);
    let batch = ImageBatch::from_raw([recorded.shape[0], channels, height, width], input);
    let near = |what: String, found: &[f32], tolerance: f64| {
        let tolerance = if name == HALF_NETWORK.0 { HALF_NETWORK.1 } else { tolerance };
        let difference = relative_difference(&recorded.output, found);
        if difference < tolerance { Ok(()) } else { Err(format!("{what}: {difference:.1e} of the largest")) }
    };
    let executor = CpuExecutor::new(&imported.graph, &imported.params)?;
    near("executor".to_owned(), executor.infer_batch(&batch)?.data(), TOLERANCE)?;
    let labels = match imported.graph.shape(imported.graph.output()).dims() {
        [classes] => Some(Labels::new((0..*classes).map(|class| class.to_string()).collect())),
        _ => None,
    };
    let preprocess = Preprocess::torchvision(32, 32);
    let spec = ModelSpec::new("test", labels, preprocess);
    let network = Network::new(imported.graph, &imported.params, spec)?;
    for form in FORMS {
        // Weights that are rounded to 11 bits differ by 2^-12 of each; a few of them add up.
        let tolerance = if form.weights == WeightPrecision::Half { 1e-2 } else { TOLERANCE };
        let file = export(&network, &form)?;
        for kind in engine::available() {
            let what = format!("{kind}, opset {}, {:?}, {:?}", form.opset, form.batch_norm, form.weights);
            let outputs = engine::open(kind, &file, 1.try_into()?)
                .and_then(|mut engine| engine.run(&batch))
                .map_err(|error| format!("{what}: {error}"))?;
            near(what, outputs.first()?.data(), tolerance)?;
        }
        let again = onnx::import(file)?;
        if form.batch_norm == BatchNormalization::Keep {
            let [before, after] = [&network.graph, &again.graph].map(listing);
            if again.graph != network.graph {
                return Err(format!("opset {}: the graph changes from\n{before}\nto\n{after}", form.opset).into());
            }
        }
        if form.batch_norm == BatchNormalization::Keep && form.weights == WeightPrecision::F32 {
            assert!(again.params == network.params, "{name}: the weights differ");
        }
    }
    Ok(())
}

/// A node a line.
fn listing(graph: &models::Graph) -> String {
    let line = |node: &models::graph::Node| format!("  {} {:?} {:?}", node.name, node.op, node.params);
    graph.nodes().iter().map(line).collect::<Vec<_>>().join("\n")
}
