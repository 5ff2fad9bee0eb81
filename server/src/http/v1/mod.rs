//! The HTTP interface: a file a resource, each with its handlers, requests and answers.

pub(crate) mod call;
pub mod classify;
pub mod datasets;
pub mod evaluate;
mod explanation;
pub mod feedback;
pub mod finetune;
mod follow;
pub mod health;
pub mod jobs;
pub mod label_studio;
pub mod metrics;
pub mod models;
pub mod quantize;
pub(in crate::http) mod refusal;
pub mod report;
pub mod result;
pub mod trial;

use std::ops::RangeInclusive;

use crate::http::problem::{ApiError, Code};

/// A number of a query that has bounds.
fn within(name: &str, number: usize, bounds: &RangeInclusive<usize>) -> Result<usize, ApiError> {
    if bounds.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (bounds.start(), bounds.end());
    Err(ApiError::new(Code::InvalidParameter, format!("{name}: {number} is not between {least} and {most}")))
}
