//! Which class of a model a class of a data set is.

use models::Labels;
use models::labels::imagenet_classes;
use serde::{Deserialize, Serialize};

use super::EvaluateError;
use super::error::NAMED;
use crate::data::quoted;
use crate::nearest;

/// A class of a data set that the model does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnknownClass {
    /// What the data set calls it.
    #[cfg_attr(feature = "openapi", schema(example = "roze"))]
    pub name: String,
    /// How many images show it.
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

/// How many of ImageNet's thousand names a model has to have at their places to be one of ImageNet: lists differ in some.
const IMAGENET: usize = 900;

/// Whether these are ImageNet's classes in their usual order, each under its first name or under all.
fn are_imagenet(known: &Labels) -> bool {
    let first = |names: &str| names.split(',').next().unwrap_or_default().trim().to_owned();
    let own = imagenet_classes().zip(known.names()).filter(|((_, name), known)| first(name) == first(known)).count();
    known.len() == 1000 && own >= IMAGENET
}

/// For each class of a data set, the model's class of the same name. Folders of ImageNet are called by WordNet's ids, and its
/// models' classes by names.
pub(super) fn matches(found: &Labels, known: &Labels) -> Result<Vec<Option<usize>>, EvaluateError> {
    let imagenet = are_imagenet(known);
    let of_synset = |id: &str| imagenet_classes().position(|(synset, _)| synset == id).filter(|_| imagenet);
    let number = |name: &String| known.names().iter().position(|other| other == name).or_else(|| of_synset(name));
    let matches: Vec<Option<usize>> = found.names().iter().map(number).collect();
    if matches.iter().all(Option::is_none) {
        let [found, known] = [found, known].map(|labels| quoted(labels.names(), NAMED));
        return Err(EvaluateError::UnknownClasses { found, known });
    }
    Ok(matches)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(names: &[&str]) -> Labels {
        Labels::new(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn folders_called_by_ids_of_wordnet_are_classes_of_imagenets_models_alone() {
        let folders = labels(&["n01440764", "n02099601", "rose"]);
        assert_eq!(matches(&folders, &Labels::imagenet()).unwrap(), [Some(0), Some(207), None]);
        // As `synset_words.txt` has them: several names for each class.
        let long = Labels::imagenet().names().iter().map(|name| format!("{name}, another name")).collect();
        assert_eq!(matches(&folders, &Labels::new(long)).unwrap(), [Some(0), Some(207), None]);
        let others = Labels::new((0..1000).map(|number| format!("class {number}")).collect());
        assert!(matches!(matches(&folders, &others), Err(EvaluateError::UnknownClasses { .. })));
    }
}
