//! What is done to the features of a base before a linear head takes them.

use std::fmt;

use models::ops::{Activation, AdaptiveAvgPool, Flatten, GlobalAvgPool, L2Norm, Op, Shape};
use serde::{Deserialize, Serialize};

/// The steps from the features of a base to its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FeatureTransform {
    /// Which numbers of a feature map are used.
    pub pooling: FeaturePooling,
    /// What is done to each number.
    pub power: FeaturePower,
    /// What is done to all numbers of an image.
    pub scaling: FeatureScaling,
}

/// Which numbers of a feature map a head takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FeaturePooling {
    /// All of them. Features that are a vector know no other.
    All,
    /// The mean of each channel.
    Average,
    /// The means of each channel over two by two parts of the image.
    Quarters,
}

/// What is done to each feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FeaturePower {
    /// The number as it is.
    Plain,
    /// The root of its size, with its sign (power normalization, Perronnin et al. 2010): large features count for less.
    SignedSqrt,
}

/// What is done to all features of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FeatureScaling {
    /// Each feature minus its mean over its deviation, both of the training images; folded into the head's weights.
    Standardized,
    /// The features of an image over their length.
    UnitLength,
}

impl FeatureTransform {
    /// Where nothing tells which is best.
    pub const PLAIN: Self =
        Self { pooling: FeaturePooling::All, power: FeaturePower::Plain, scaling: FeatureScaling::Standardized };

    /// All transforms that features of this shape have.
    #[must_use]
    pub fn all(shape: &Shape) -> Vec<Self> {
        let powers = [FeaturePower::Plain, FeaturePower::SignedSqrt];
        let scalings = [FeatureScaling::Standardized, FeatureScaling::UnitLength];
        let poolings = FeaturePooling::all(shape).into_iter();
        let transforms = poolings.flat_map(|pooling| powers.map(|power| (pooling, power)));
        transforms.flat_map(|(pooling, power)| scalings.map(|scaling| Self { pooling, power, scaling })).collect()
    }

    /// The operators that make a head's input of features of this shape. The scales of standardized features are no
    /// operators: they are in the head's weights.
    #[must_use]
    pub fn steps(&self, shape: &Shape) -> Vec<Op> {
        let mut steps = self.pooling.steps(shape);
        if self.power == FeaturePower::SignedSqrt {
            steps.push(Activation::SignedSqrt.into());
        }
        if self.scaling == FeatureScaling::UnitLength {
            steps.push(L2Norm.into());
        }
        steps
    }

    /// What those operators make of features `[n, shape]`: `[n, width]`.
    #[must_use]
    pub fn apply(&self, shape: &Shape, features: &[f32]) -> Vec<f32> {
        let mut features = self.pooling.apply(shape, features);
        if self.power == FeaturePower::SignedSqrt {
            features.iter_mut().for_each(|x| *x = x.abs().sqrt().copysign(*x));
        }
        if self.scaling == FeatureScaling::UnitLength {
            for row in features.chunks_mut(self.pooling.width(shape).max(1)) {
                let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
                row.iter_mut().filter(|_| length > 0.0).for_each(|x| *x /= length);
            }
        }
        features
    }
}

impl FeaturePooling {
    fn all(shape: &Shape) -> Vec<Self> {
        match shape.chw() {
            Ok((_, height, width)) if height.min(width) > 2 => vec![Self::Average, Self::Quarters, Self::All],
            Ok((_, height, width)) if height * width > 1 => vec![Self::Average, Self::All],
            _ => vec![Self::All],
        }
    }

    /// How many numbers an image has afterwards.
    #[must_use]
    pub fn width(self, shape: &Shape) -> usize {
        match self {
            Self::All => shape.len(),
            Self::Average | Self::Quarters => shape.dims().first().map_or(0, |channels| channels * self.grid().pow(2)),
        }
    }

    /// Rows and columns of parts.
    fn grid(self) -> usize {
        if self == Self::Quarters { 2 } else { 1 }
    }

    fn steps(self, shape: &Shape) -> Vec<Op> {
        let pooling = match self {
            Self::All => None,
            Self::Average => Some(GlobalAvgPool.into()),
            Self::Quarters => AdaptiveAvgPool { output: [2, 2] }.simplified(shape),
        };
        let flatten = (shape.dims().len() > 1).then(|| Op::from(Flatten));
        pooling.into_iter().chain(flatten).collect()
    }

    fn apply(self, shape: &Shape, features: &[f32]) -> Vec<f32> {
        let (Self::Average | Self::Quarters, Ok((_, height, width))) = (self, shape.chw()) else {
            return features.to_vec();
        };
        let grid = self.grid();
        let mut pooled = Vec::with_capacity(features.len() / (height * width) * grid * grid);
        for map in features.chunks(height * width) {
            for (row, column) in (0..grid).flat_map(|row| (0..grid).map(move |column| (row, column))) {
                let rows = AdaptiveAvgPool::span(height, grid, row);
                let columns = AdaptiveAvgPool::span(width, grid, column);
                let area = (rows.len() * columns.len()) as f32;
                let sum: f32 = rows.map(|y| map[y * width..][columns.clone()].iter().sum::<f32>()).sum();
                pooled.push(sum / area);
            }
        }
        pooled
    }
}

impl fmt::Display for FeatureTransform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pooling = match self.pooling {
            FeaturePooling::All => "all features",
            FeaturePooling::Average => "the mean of each channel",
            FeaturePooling::Quarters => "the means of each channel over 2x2 parts",
        };
        let power = match self.power {
            FeaturePower::Plain => "",
            FeaturePower::SignedSqrt => ", signed square root",
        };
        let scaling = match self.scaling {
            FeatureScaling::Standardized => "standardized",
            FeatureScaling::UnitLength => "unit length",
        };
        write!(f, "{pooling}{power}, {scaling}")
    }
}
