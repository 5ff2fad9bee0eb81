//! Decodes images as training and serving do, for comparison with PIL: `decode OUT FILE…` writes `OUT/NAME.rgb` for each
//! (width and height as little-endian `u32`, then the pixels, RGB) and prints a line for each that is refused.

#![expect(clippy::print_stdout, reason = "an example reports on the standard output")]

use std::path::{Path, PathBuf};

use models::preprocess::{Limits, decode};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let out = arguments.next().ok_or("usage: decode OUT FILE…")?;
    arguments.try_for_each(|file| write(&out, &file))
}

fn write(out: &Path, file: &Path) -> Result<(), Box<dyn Error>> {
    let name = file.file_name().ok_or("a file has a name")?.to_string_lossy().into_owned();
    match decode(&std::fs::read(file)?, &Limits::default()) {
        Ok(image) => {
            let size = [image.width(), image.height()].map(u32::to_le_bytes).concat();
            std::fs::write(out.join(format!("{name}.rgb")), [&size, image.data()].concat())?;
        }
        Err(error) => println!("{name}\t{error}"),
    }
    Ok(())
}
