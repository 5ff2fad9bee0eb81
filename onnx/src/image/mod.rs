//! The image that a file takes: its size, the order of its dimensions, and what the network does to it first.

mod input;
mod layout;
mod start;

pub(crate) use input::{ImageInput, image_input};
pub(crate) use layout::ImageLayout;
pub(crate) use start::{constant, only_user};
