//! Common classifiers as PyTorch's two exporters and tf2onnx write them: read, run, written for every engine and read again.

use std::collections::BTreeMap;
use std::path::Path;

use models::preprocess::ImageBatch;
use models::scores::softmax;
use models::{Labels, ModelSpec, Network, Preprocess};
use onnx::export::BatchNormalization;
use onnx::parity::{TOLERANCE, relative_difference};
use onnx::{ExportOptions, ModelFile, engine, export};
use serde::Deserialize;
use tests::generated::{external, generated};
use tests::library;
use trainer::backend::CpuExecutor;

/// A network's input shape, as the file has it, and ONNX Runtime's answer; written by tests/reference/exporters.py.
#[derive(Deserialize)]
struct Recorded {
    shape: [usize; 4],
    output: Vec<f32>,
}

/// The seed of every input.
const INPUT_SEED: u64 = 99;

#[test]
fn networks_of_other_programs() {
    let _ort = library::load();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let text = std::fs::read_to_string(folder.join("exporters.json")).unwrap();
    let table: BTreeMap<String, Recorded> = serde_json::from_str(&text).unwrap();
    let failures: Vec<String> = table
        .iter()
        .filter_map(|(name, recorded)| {
            let file = std::fs::read(folder.join("exporters").join(format!("{name}.onnx"))).unwrap();
            check(file, recorded).err().map(|reason| format!("{name}: {reason}"))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), table.len(), failures.join("\n"));
}

fn check(file: Vec<u8>, recorded: &Recorded) -> Result<(), Box<dyn std::error::Error>> {
    let imported = ModelFile::decode_with(file, &mut external)?.import()?;
    let batch = recorded.batch();
    // A file may end in the softmax that the import leaves off.
    let near = |what: String, found: &[f32]| {
        let logits = relative_difference(&recorded.output, found);
        let difference = logits.min(relative_difference(&recorded.output, &softmax(found, 1.0)));
        if difference < TOLERANCE { Ok(()) } else { Err(format!("{what}: {difference:.1e} of the largest")) }
    };
    let executor = CpuExecutor::new(&imported.graph, &imported.params)?;
    near("executor".to_owned(), executor.infer_batch(&batch)?.data())?;
    let classes = imported.graph.shape(imported.graph.output()).len();
    imported.graph.classifier().ok_or("no classifier is found")?;
    let labels = Some(Labels::new((0..classes).map(|class| class.to_string()).collect()));
    let preprocess = Preprocess::torchvision(32, 32);
    let spec = ModelSpec::new("test", labels, preprocess);
    let network = Network::new(imported.graph, &imported.params, spec)?;
    let file = export(&network, &ExportOptions::default())?;
    for kind in engine::available() {
        let outputs = engine::open(kind, &file, 2.try_into()?)?.run(&batch)?;
        near(kind.to_string(), outputs.first()?.data())?;
    }
    let unfolded = ExportOptions { batch_norm: BatchNormalization::Keep, ..ExportOptions::default() };
    let again = onnx::import(export(&network, &unfolded)?)?;
    if again.graph != network.graph || again.params != network.params {
        return Err("what is written is not read as the same network".into());
    }
    Ok(())
}

impl Recorded {
    /// The input, channels first whatever the file's order.
    fn batch(&self) -> ImageBatch {
        let [n, a, b, c] = self.shape;
        let numbers = generated(n * a * b * c, (-2.0, 2.0), INPUT_SEED);
        if a == 3 {
            return ImageBatch::from_raw(self.shape, numbers);
        }
        let planes = (0..c).flat_map(|channel| numbers.iter().skip(channel).step_by(c).copied());
        ImageBatch::from_raw([n, c, a, b], planes.collect())
    }
}
