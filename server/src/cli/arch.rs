//! `graft arch`: the networks that graft builds itself.

use std::num::NonZeroUsize;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use models::graph::Counts;
use models::ops::Op;
use models::{Graph, NodeId, zoo};
use serde_json::{Value, json};

use super::import::parse_size;
use super::output::{self, OutputArgs};

#[derive(Debug, Subcommand)]
pub(super) enum ArchCommand {
    /// List every network with its size
    List(OutputArgs),
    /// Show a network layer by layer: shapes, parameters, arithmetic, and the memory of a batch
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The network's name
    name: String,

    /// Height and width of the images, as 224 or 224x320 [default: what its paper trains on]
    #[arg(long, env = "GRAFT_SIZE", value_name = "PIXELS", value_parser = parse_size)]
    size: Option<[u32; 2]>,

    /// How many classes [default: those of its paper]
    #[arg(long, env = "GRAFT_CLASSES", value_name = "N")]
    classes: Option<NonZeroUsize>,

    /// How many images the memory is counted for
    #[arg(long, env = "GRAFT_BATCH", value_name = "N", default_value = "32")]
    batch: NonZeroUsize,

    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(command: &ArchCommand) -> Result<()> {
    match command {
        ArchCommand::List(output) => list(*output),
        ArchCommand::Show(args) => show(args),
    }
}

fn list(format: OutputArgs) -> Result<()> {
    let built = zoo::all().map(|row| Ok((row, row.graph(row.input(), row.classes())?.counts())));
    let built = built.collect::<Result<Vec<_>>>()?;
    if format.is_json() {
        let rows = built.iter().map(|(row, counts)| {
            json!({
                "name": row.name(), "parameters": counts.parameters, "macs": counts.macs,
                "input": row.input(), "classes": row.classes(), "source": row.source(),
            })
        });
        return Ok(output::json(&rows.collect::<Vec<Value>>())?);
    }
    let rows: Vec<[String; 5]> = built
        .iter()
        .map(|(row, counts)| {
            let [height, width] = row.input();
            [
                row.name().to_owned(),
                format!("{:.2} M", counts.parameters as f64 / 1e6),
                format!("{:.2}", counts.macs as f64 / 1e9),
                format!("{height}x{width}, {}", row.classes()),
                row.source(),
            ]
        })
        .collect();
    Ok(output::table(["NAME", "PARAMETERS", "GMAC", "INPUT, CLASSES", "FROM"], &rows)?)
}

fn show(args: &ShowArgs) -> Result<()> {
    let row = zoo::find(&args.name).with_context(|| {
        format!("there is no network `{}`; `graft arch list` lists those that there are", args.name)
    })?;
    let input = args.size.map_or(row.input(), |[height, width]| [height as usize, width as usize]);
    let classes = args.classes.map_or(row.classes(), NonZeroUsize::get);
    let graph = row.graph(input, classes)?;
    let counts = graph.counts();
    let batch = args.batch.get() as u64;
    if args.output.is_json() {
        return Ok(output::json(&described(&graph, &counts, batch))?);
    }
    output::line(format_args!("{}: {}", row.name(), row.source()))?;
    let rows: Vec<[String; 5]> = graph.iter().map(|(id, _)| layer(&graph, id)).collect();
    output::table(["LAYER", "OPERATOR", "OUTPUT", "PARAMETERS", "MMAC"], &rows)?;
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    output::line(format_args!(
        "{} parameters ({}), {:.2} GMAC = {:.2} GFLOP an image",
        counts.parameters,
        megabytes(counts.weight_bytes),
        counts.macs as f64 / 1e9,
        counts.flops() as f64 / 1e9,
    ))?;
    output::line(format_args!(
        "activations of a batch of {batch}: {} to run it, {} to train it (every output kept, without gradients)",
        megabytes(batch * counts.inference_bytes),
        megabytes(batch * counts.training_bytes),
    ))?;
    Ok(())
}

fn layer(graph: &Graph, id: NodeId) -> [String; 5] {
    let node = graph.node(id);
    let number = |count: u64, shown: String| if count == 0 { String::new() } else { shown };
    let macs = node.op.operator().macs(graph.shape(id));
    [
        node.name.clone(),
        operator(&node.op),
        graph.shape(id).to_string(),
        number(node.parameters(), node.parameters().to_string()),
        number(macs, format!("{:.2}", macs as f64 / 1e6)),
    ]
}

/// The operator with what tells one layer from another.
fn operator(op: &Op) -> String {
    let window = |kernel: [usize; 2], stride: [usize; 2]| {
        let stride = if stride == [1; 2] { String::new() } else { format!("/{}", stride[0]) };
        format!("{}x{}{stride}", kernel[0], kernel[1])
    };
    let kind = op.operator().kind();
    match op {
        Op::Conv2d(conv) => format!("{kind} {}", window(conv.kernel, conv.stride)),
        Op::MaxPool(pool) => format!("{kind} {}", window(pool.0.kernel, pool.0.stride)),
        Op::AvgPool(pool) => format!("{kind} {}", window(pool.window.kernel, pool.window.stride)),
        _ => kind.to_owned(),
    }
}

fn described(graph: &Graph, counts: &Counts, batch: u64) -> Value {
    let layers = graph.iter().map(|(id, node)| {
        json!({
            "name": node.name, "operator": node.op.operator().kind(), "output": graph.shape(id).dims(),
            "parameters": node.parameters(), "macs": node.op.operator().macs(graph.shape(id)),
        })
    });
    json!({
        "layers": layers.collect::<Vec<Value>>(),
        "parameters": counts.parameters, "macs": counts.macs, "flops": counts.flops(),
        "weight_bytes": counts.weight_bytes, "batch": batch,
        "inference_bytes": batch * counts.inference_bytes, "training_bytes": batch * counts.training_bytes,
    })
}
