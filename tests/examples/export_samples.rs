//! Writes files for other programs to judge: every model of `tests/data/spellings` and some networks of the tables, read and
//! written again in several forms, with what graft's executor and tract make of an input. `tests/interop/check_samples.py`
//! checks them.
//!
//!     cargo run --package tests --example export_samples -- FOLDER

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use models::preprocess::{ImageBatch, Preset};
use models::{Graph, Labels, ModelSpec, Network, Params, zoo};
use onnx::export::{BatchNormalization, PixelNormalization, WeightPrecision};
use onnx::parity::relative_difference;
use onnx::{EngineKind, ExportOptions, engine, export};
use serde_json::{Value, json};
use tests::parity;
use tests::recorded::{Recorded, numbers};
use trainer::backend::CpuExecutor;

const PLAIN: ExportOptions = ExportOptions {
    opset: 17,
    batch_norm: BatchNormalization::Fold,
    weights: WeightPrecision::F32,
    normalization: PixelNormalization::Inside,
};
/// The name, the form, and how far from single precision its answers may be.
const FORMS: [(&str, ExportOptions, f64); 5] = [
    ("13-keep", ExportOptions { opset: 13, batch_norm: BatchNormalization::Keep, ..PLAIN }, 1e-5),
    ("17-fold", PLAIN, 1e-5),
    ("20-keep", ExportOptions { opset: 20, batch_norm: BatchNormalization::Keep, ..PLAIN }, 1e-5),
    // Eleven bits a weight.
    ("17-half", ExportOptions { weights: WeightPrecision::Half, ..PLAIN }, 2e-2),
    // Seven bits and a sign, through up to 164 layers. The reference implementation dequantizes from opset 19 on.
    ("20-int8", ExportOptions { opset: 20, weights: WeightPrecision::Int8, ..PLAIN }, 2e-1),
];
/// Networks for images of 32 pixels, where ONNX's reference implementation takes seconds.
const NETWORKS: [&str; 6] = [
    "resnet20_cifar",
    "preact_resnet110_cifar",
    "preact_resnet164_cifar",
    "tflearn_resnet32",
    "tflearn_resnet32_mean",
    "resnet50_v1",
];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name a folder to write into")?;
    let mut samples = Samples { folder: PathBuf::from(folder), list: BTreeMap::new() };
    std::fs::create_dir_all(&samples.folder)?;
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let table: BTreeMap<String, Recorded> = serde_json::from_slice(&std::fs::read(data.join("spellings.json"))?)?;
    for (name, recorded) in table {
        let imported = onnx::import(std::fs::read(data.join("spellings").join(format!("{name}.onnx")))?)?;
        let (channels, height, width) = imported.graph.chw(imported.graph.input())?;
        let input = recorded.input(channels);
        let shape = [recorded.shape[0], channels, height, width];
        samples.add(&name, &unlabeled(imported.graph, &imported.params)?, &ImageBatch::from_raw(shape, input))?;
    }
    for name in NETWORKS {
        let graph = zoo::find(name).ok_or(name)?.graph([32; 2], 10)?;
        let shape = [2, 3, 32, 32];
        let batch = ImageBatch::from_raw(shape, numbers(shape.iter().product(), true));
        samples.add(name, &parity::scrambled(&graph), &batch)?;
    }
    std::fs::write(samples.folder.join("samples.json"), serde_json::to_vec(&samples.list)?)?;
    Ok(())
}

/// The files written so far, with what `check_samples.py` must know of each.
struct Samples {
    folder: PathBuf,
    list: BTreeMap<String, Value>,
}

impl Samples {
    /// Writes a network in every form, with the answers of the executor, which tract must give too.
    fn add(&mut self, name: &str, network: &Network, batch: &ImageBatch) -> Result<(), Box<dyn Error>> {
        let answer = CpuExecutor::new(&network.graph, &network.params)?.infer_batch(batch)?;
        for (form, options, tolerance) in FORMS {
            let file = export(network, &options)?;
            let mut tract = engine::open(EngineKind::Tract, &file, 2.try_into()?)?;
            let outputs = tract.run(batch)?;
            let difference = relative_difference(answer.data(), outputs.first()?.data());
            if difference > tolerance {
                return Err(format!("{name} {form}: tract differs by {difference:.1e}").into());
            }
            let file_name = format!("{name}-{form}.onnx");
            std::fs::write(self.folder.join(&file_name), file)?;
            let sample = json!({
                "opset": options.opset, "shape": batch.shape(), "input": batch.data(), "output": answer.data(),
                "tolerance": tolerance,
            });
            self.list.insert(file_name, sample);
        }
        Ok(())
    }
}

/// A network with classes if it ends in a vector, otherwise without.
fn unlabeled(graph: Graph, params: &Params) -> Result<Network, Box<dyn Error>> {
    let labels = match graph.shape(graph.output()).dims() {
        [classes] => Some(Labels::new((0..*classes).map(|class| format!("class {class}")).collect())),
        _ => None,
    };
    let preprocess = Preset::Bytes.preprocess(32, 32);
    let spec = ModelSpec::new("sample", labels, preprocess);
    Ok(Network::new(graph, params, spec)?)
}
