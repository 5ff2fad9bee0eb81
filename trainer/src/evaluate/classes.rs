//! Which class of a model a class of a data set is.

use models::Labels;
use models::labels::imagenet_classes;
use serde::{Deserialize, Serialize};

use super::EvaluateError;
use crate::data::quoted;
use crate::nearest;

/// How many classes a message names.
const NAMED: usize = 6;

/// A class of a data set that the model does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnknownClass {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(example = "roze"))]
    pub name: String,
    /// How many images of it were left out.
    pub images: usize,
    /// The class of the model that is called nearly so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false, example = "rose"))]
    pub nearest: Option<String>,
}

impl UnknownClass {
    pub(super) fn new(name: &str, images: usize, known: &Labels) -> Self {
        let nearest = nearest(name, known.names().iter().map(String::as_str)).map(str::to_owned);
        Self { name: name.to_owned(), images, nearest }
    }

    /// As a sentence.
    pub(super) fn warning(&self) -> String {
        let Self { name, images, nearest } = self;
        let advice = nearest.as_ref().map_or(String::new(), |nearest| format!("; did you mean `{nearest}`?"));
        format!("left out {images} image(s) of `{name}`, which is no class of the model{advice}")
    }
}

/// For each class of a data set, the model's class of the same name. Folders of ImageNet are called by WordNet's ids, and its
/// models' classes by names.
pub(super) fn matches(found: &Labels, known: &Labels) -> Result<Vec<Option<usize>>, EvaluateError> {
    let of_synset = |id: &str| {
        let number = imagenet_classes().position(|(synset, _)| synset == id)?;
        let (_, name) = imagenet_classes().nth(number)?;
        (known.get(number) == Some(name)).then_some(number)
    };
    let number = |name: &String| known.names().iter().position(|other| other == name).or_else(|| of_synset(name));
    let matches: Vec<Option<usize>> = found.names().iter().map(number).collect();
    if matches.iter().all(Option::is_none) {
        let [found, known] = [found, known].map(|labels| quoted(labels.names(), NAMED));
        return Err(EvaluateError::UnknownClasses { found, known });
    }
    Ok(matches)
}
