//! What each class counts in training.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use models::Labels;
use serde::{Deserialize, Serialize};

use super::FinetuneError;
use crate::data::LabelSets;
use crate::fit::ClassWeights;

/// What an image of each class counts in training.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(
    rename_all = "snake_case",
    expecting = "`class_weights` is \"none\", \"balanced\", or an object of a number for each class that counts otherwise than 1"
)]
pub enum ClassWeighting {
    /// As much as every other image.
    #[default]
    None,
    /// So much that all classes count alike, however many images each has; where images have several classes, that the images
    /// of each count as much as all others.
    Balanced,
    /// So much, by the names of the classes; 1 for those that are not named.
    #[serde(untagged)]
    Table(BTreeMap<String, f64>),
}

impl ClassWeighting {
    /// A number for each class, given the classes of the training images, or the numbers of their sets; `None` where all count
    /// alike.
    ///
    /// # Errors
    /// [`FinetuneError::ClassWeights`] for a name that no class has.
    pub(super) fn resolve(
        &self,
        labels: &Labels,
        training: &[usize],
        sets: Option<&LabelSets>,
    ) -> Result<Option<Vec<f32>>, FinetuneError> {
        self.check(labels)?;
        match self {
            Self::None => Ok(None),
            Self::Balanced => Ok(Some(ClassWeights::Balanced.resolve(training, labels.len(), sets)?)),
            Self::Table(table) => {
                let weight = |name: &String| table.get(name).map_or(1.0, |&weight| weight as f32);
                Ok(Some(labels.names().iter().map(weight).collect()))
            }
        }
    }

    /// Checks the names against the classes of a data set.
    ///
    /// # Errors
    /// [`FinetuneError::ClassWeights`] for a name that no class has.
    pub fn check(&self, labels: &Labels) -> Result<(), FinetuneError> {
        let Self::Table(table) = self else { return Ok(()) };
        let Some(class) = table.keys().find(|name| !labels.names().contains(name)) else { return Ok(()) };
        let nearest = crate::nearest(class, labels.names().iter().map(String::as_str)).map(str::to_owned);
        Err(FinetuneError::ClassWeights { class: class.clone(), nearest })
    }

    /// Whether every number makes sense.
    pub(super) fn is_positive(&self) -> bool {
        match self {
            Self::None | Self::Balanced => true,
            Self::Table(table) => table.values().all(|weight| (1e-6..=1e6).contains(weight)),
        }
    }
}

impl fmt::Display for ClassWeighting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Balanced => f.write_str("balanced"),
            Self::Table(table) => {
                let pairs: Vec<String> = table.iter().map(|(class, weight)| format!("{class}={weight}")).collect();
                f.write_str(&pairs.join(","))
            }
        }
    }
}

/// A text that says no weights.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `none`, `balanced` nor weights such as `rose=3,tulip=0.5`")]
pub struct InvalidClassWeights(String);

impl FromStr for ClassWeighting {
    type Err = InvalidClassWeights;

    fn from_str(text: &str) -> Result<Self, InvalidClassWeights> {
        match text {
            "none" => return Ok(Self::None),
            "balanced" => return Ok(Self::Balanced),
            _ => {}
        }
        let pair = |pair: &str| {
            // A class may have the sign in its name.
            let (class, weight) = pair.rsplit_once('=')?;
            Some((class.trim().to_owned(), weight.trim().parse().ok()?))
        };
        let table: Option<BTreeMap<String, f64>> = text.split(',').map(pair).collect();
        table.map(Self::Table).ok_or_else(|| InvalidClassWeights(text.to_owned()))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for ClassWeighting {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
        let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["none", "balanced"]));
        let number = ObjectBuilder::new().schema_type(Type::Number);
        let table = ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(number));
        OneOfBuilder::new()
            .item(word)
            .item(table)
            .description(Some("What an image of each class counts in training: `none` all alike, `balanced` so much that all classes count alike, or numbers by the names of classes, 1 for those that are not named."))
            .into()
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for ClassWeighting {}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels() -> Labels {
        Labels::new(["rose", "tulip"].map(str::to_owned).to_vec())
    }

    #[test]
    fn the_text_of_the_command_line_and_the_json_of_a_request_say_the_same() {
        let table = ClassWeighting::Table([("rose".to_owned(), 3.0), ("tulip".to_owned(), 0.5)].into());
        let cases = [
            ("none", "\"none\"", ClassWeighting::None),
            ("balanced", "\"balanced\"", ClassWeighting::Balanced),
            ("rose=3,tulip=0.5", r#"{"rose":3.0,"tulip":0.5}"#, table),
        ];
        for (text, json, weights) in cases {
            assert_eq!(text.parse(), Ok(weights.clone()));
            assert_eq!((weights.to_string().as_str(), serde_json::to_string(&weights).unwrap().as_str()), (text, json));
            assert_eq!(serde_json::from_str::<ClassWeighting>(json).unwrap(), weights);
        }
        assert!("rose".parse::<ClassWeighting>().unwrap_err().to_string().contains("rose=3"));
        let error = serde_json::from_str::<ClassWeighting>("3").unwrap_err().to_string();
        assert!(error.starts_with("`class_weights` is \"none\", \"balanced\", or an object"), "{error}");
    }

    #[test]
    fn balanced_classes_count_alike_and_a_table_says_what_differs() {
        let weights = |weighting: ClassWeighting| weighting.resolve(&labels(), &[0, 0, 0, 1], None).unwrap();
        assert_eq!(weights(ClassWeighting::None), None);
        // 4 images over 2 classes of 3 and 1.
        assert_eq!(weights(ClassWeighting::Balanced), Some(vec![4.0 / 6.0, 2.0]));
        assert_eq!(weights("tulip=5".parse().unwrap()), Some(vec![1.0, 5.0]));
        let error = "tulips=5".parse::<ClassWeighting>().unwrap().resolve(&labels(), &[0, 1], None).unwrap_err();
        assert!(error.to_string().contains("`tulips`") && error.to_string().contains("`tulip`"), "{error}");
    }

    #[test]
    fn of_classes_beside_each_other_the_images_of_one_count_as_much_as_the_others() {
        let (sets, numbers) = LabelSets::number(2, [vec![0, 1], vec![1], vec![1], vec![]]);
        let weights = ClassWeighting::Balanced.resolve(&labels(), &numbers, Some(&sets)).unwrap();
        assert_eq!(weights, Some(vec![3.0, 1.0 / 3.0]));
    }
}
