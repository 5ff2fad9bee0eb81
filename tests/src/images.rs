//! Small data sets of plain colors.

use std::fs;
use std::path::{Path, PathBuf};

use models::ops::{Flatten, GlobalAvgPool, Linear, Shape};
use models::preprocess::Resize;
use models::{GraphBuilder, GraphError, Labels, ModelSpec, Network, Params, Preprocess, Tensor, init, zoo};

/// Class names and their colors, RGB.
const CLASSES: [(&str, [u8; 3]); 3] = [("blue", [40, 60, 200]), ("green", [50, 180, 60]), ("red", [210, 50, 40])];

/// Writes a folder per class with `per_class` different images each, and returns `folder`.
///
/// # Panics
/// When a file cannot be written.
#[must_use]
pub fn color_folders(folder: PathBuf, per_class: u8) -> PathBuf {
    for (class, color) in CLASSES {
        let inner = folder.join(class);
        fs::create_dir_all(&inner).unwrap_or_else(|error| panic!("{}: {error}", inner.display()));
        for number in 0..per_class {
            write(&inner.join(format!("{number:03}.bmp")), &picture(color, number));
        }
    }
    folder
}

/// An image of a class of [`color_folders`] that is not in the folders, as a BMP file.
///
/// # Panics
/// When there is no such class.
#[must_use]
pub fn example(class: &str) -> Vec<u8> {
    let entry = CLASSES.iter().find(|(name, _)| *name == class);
    let (_, color) = entry.unwrap_or_else(|| panic!("no class {class}"));
    picture(*color, 200)
}

/// Writes `images/000.bmp` and so on, each of three stripes that have the color of a class or are gray, with all eight sets of
/// classes in turn, and returns a table of them with a column for each class.
///
/// # Panics
/// When a file cannot be written.
#[must_use]
pub fn color_stripes(folder: &Path, count: u8) -> PathBuf {
    let images = folder.join("images");
    fs::create_dir_all(&images).unwrap_or_else(|error| panic!("{}: {error}", images.display()));
    let mut table = format!("file,{}\n", CLASSES.map(|(class, _)| class).join(","));
    for number in 0..count {
        write(&images.join(format!("{number:03}.bmp")), &striped(number, number));
        let bits: Vec<String> = (0..3).map(|class| (number >> class & 1).to_string()).collect();
        table += &format!("images/{number:03}.bmp,{}\n", bits.join(","));
    }
    let path = folder.join("labels.csv");
    write(&path, table.as_bytes());
    path
}

/// An image of these classes that is not among those of [`color_stripes`], as a BMP file.
#[must_use]
pub fn stripes(classes: &[&str]) -> Vec<u8> {
    let bits = (0..3).filter(|&class| classes.contains(&CLASSES[class].0)).map(|class| 1 << class);
    striped(bits.sum(), 201)
}

/// A stripe for each class: of its color if its bit is set.
fn striped(bits: u8, number: u8) -> Vec<u8> {
    let color = |x: u32| {
        let stripe = (x * 3 / WIDTH) as usize;
        if bits >> stripe & 1 == 1 { CLASSES[stripe].1 } else { [128; 3] }
    };
    bmp(color, number)
}

/// Writes a file.
///
/// # Panics
/// When it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// A small ResNet with random weights as an ONNX file: features of random networks tell colors apart.
///
/// # Panics
/// Never, for this network.
#[must_use]
pub fn base_model() -> Vec<u8> {
    random_network("resnet18", 64)
}

/// The same of a network a fortieth as large, for tests that store many versions of it.
///
/// # Panics
/// Never, for this network.
#[must_use]
pub fn tiny_base_model() -> Vec<u8> {
    random_network("resnet20_cifar", 32)
}

/// A network of 8x8 pixels whose logits are the mean of each channel as a share of 255, as an ONNX file: what it answers is
/// arithmetic. Without class names it is a backbone, which gives the means alone.
///
/// # Panics
/// Never, for this network.
#[must_use]
pub fn channel_means(labels: Option<&[&str]>) -> Vec<u8> {
    let resize = Resize::Exact { width: 8, height: 8 };
    let preprocess = Preprocess { resize, crop: None, mean: [0.0; 3], std: [1.0; 3], ..Preprocess::torchvision(8, 8) };
    let build = || {
        let mut graph = GraphBuilder::new("input", Shape::image(3, 8, 8));
        let input = graph.input();
        let x = graph.push("normalize", preprocess.normalize(), &[input])?;
        let x = graph.push("pool", GlobalAvgPool, &[x])?;
        let x = graph.push("flatten", Flatten, &[x])?;
        let x = if labels.is_some() { graph.push("head", Linear::new(3, 3), &[x])? } else { x };
        Ok::<_, GraphError>(graph.finish(x))
    };
    let graph = build().unwrap_or_else(|error| panic!("{error}"));
    let mut params = Params::default();
    if labels.is_some() {
        params.insert("head.weight", Tensor::new([3, 3], vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]));
        params.insert("head.bias", Tensor::new([3], vec![0.0; 3]));
    }
    let labels = labels.map(|names| Labels::new(names.iter().map(|&name| name.to_owned()).collect()));
    let spec = ModelSpec::new("channel means", labels, preprocess);
    let network = Network::new(graph, &params, spec).unwrap_or_else(|error| panic!("{error}"));
    onnx::export(&network, &onnx::ExportOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// An image of one color, 8x8 pixels, as a BMP file.
#[must_use]
pub fn plain([red, green, blue]: [u8; 3]) -> Vec<u8> {
    let mut file = b"BM".to_vec();
    for word in [54 + 192_u32, 0, 54, 40, 8, 8, 1 | 24 << 16, 0, 192, 0, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([blue, green, red].repeat(64));
    file
}

fn random_network(architecture: &str, side: u32) -> Vec<u8> {
    let preprocess = Preprocess::torchvision(side, side);
    let build = || {
        let graph = zoo::find(architecture)?.graph([side as usize; 2], 10).ok()?;
        graph.normalized(&preprocess.normalize()).ok()
    };
    let graph = build().unwrap_or_else(|| panic!("the tables hold a {architecture}"));
    let labels = Labels::new((0..10).map(|class| format!("thing {class}")).collect());
    let params = init::scrambled(&graph, 3);
    let spec = ModelSpec::new(architecture, Some(labels), preprocess);
    let network = Network::new(graph, &params, spec).unwrap_or_else(|error| panic!("{error}"));
    onnx::export(&network, &onnx::ExportOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

const WIDTH: u32 = 48;
const HEIGHT: u32 = 40;

/// A BMP of 48x40 pixels: the color with a gradient and a pattern that depends on the number.
fn picture(color: [u8; 3], number: u8) -> Vec<u8> {
    bmp(|_| color, number)
}

/// The same with a color for each column.
fn bmp(color: impl Fn(u32) -> [u8; 3], number: u8) -> Vec<u8> {
    let pixels = WIDTH * HEIGHT * 3;
    let mut bmp = b"BM".to_vec();
    for word in [54 + pixels, 0, 54, 40, WIDTH, HEIGHT, 1 | 24 << 16, 0, pixels, 2835, 2835, 0, 0] {
        bmp.extend(word.to_le_bytes());
    }
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let shade = (x * u32::from(number % 7) + y * u32::from(number / 7) + u32::from(number)) % 32;
            bmp.extend(color(x).iter().rev().map(|channel| channel.saturating_add(shade as u8)));
        }
    }
    bmp
}
