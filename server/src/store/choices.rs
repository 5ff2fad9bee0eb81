//! The models to choose from, as errors name them.

use super::ModelName;

/// As many names as one reads; of more, the nearest.
const SHOWN: usize = 8;
/// Near names that are offered.
const NEAR: usize = 3;

/// What there is instead of the model that was asked for, or where none was named.
pub(crate) fn choices(asked: Option<&str>, known: &[ModelName]) -> String {
    let mut names: Vec<&str> = known.iter().map(ModelName::as_str).collect();
    match (known.len(), asked) {
        (0, _) => "there is none yet; import or fine-tune one".to_owned(),
        (1..=SHOWN, _) => format!("there are {}", names.join(", ")),
        (count, None) => format!("there are {count}; `GET /models` and `graft models` list them"),
        (count, Some(asked)) => {
            names.sort_by_cached_key(|name| strsim::osa_distance(asked, name));
            names.truncate(NEAR);
            format!("the nearest of {count} are {}; `GET /models` and `graft models` list all", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(count: usize) -> Vec<ModelName> {
        (0..count).map(|number| format!("model-{number}").parse().unwrap()).collect()
    }

    #[test]
    fn few_names_are_listed_and_of_many_the_nearest() {
        assert_eq!(choices(Some("x"), &[]), "there is none yet; import or fine-tune one");
        assert_eq!(choices(Some("x"), &known(2)), "there are model-0, model-1");
        let near = choices(Some("model-1x07"), &known(200));
        assert!(near.starts_with("the nearest of 200 are model-107, "), "{near}");
        assert_eq!(near.matches("model-").count(), NEAR, "{near}");
        assert_eq!(choices(None, &known(9)), "there are 9; `GET /models` and `graft models` list them");
    }
}
