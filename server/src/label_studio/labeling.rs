//! The labeling configuration of a project, as far as image classification needs it.

use thiserror::Error;

/// Which field of a task is the image, and where its class goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labeling {
    /// The name of the control, such as `choice`.
    pub from_name: String,
    /// The name of the image.
    pub to_name: String,
    /// The field of a task's data with the image.
    pub field: String,
    /// The classes that can be chosen; empty where each task brings its own.
    pub choices: Vec<String>,
}

/// A configuration without image classification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the labeling configuration has no `<Choices>` for an `<Image>`; graft classifies images, as in the template \
     \"Image Classification\""
)]
pub struct LabelingError;

impl Labeling {
    /// Reads the XML of a project's configuration.
    ///
    /// # Errors
    /// [`LabelingError`].
    pub fn parse(config: &str) -> Result<Self, LabelingError> {
        let tags = tags(config);
        let choices = tags.iter().find(|tag| tag.name == "Choices").ok_or(LabelingError)?;
        let (from_name, to_name) = choices.get("name").zip(choices.get("toName")).ok_or(LabelingError)?;
        let image = tags.iter().find(|tag| tag.name == "Image" && tag.get("name") == Some(to_name));
        let field = image.and_then(|tag| tag.get("value")).and_then(|value| value.strip_prefix('$'));
        let field = field.ok_or(LabelingError)?.to_owned();
        let names = tags.iter().filter(|tag| tag.name == "Choice").filter_map(|tag| tag.get("value"));
        Ok(Self {
            from_name: from_name.to_owned(),
            to_name: to_name.to_owned(),
            field,
            choices: names.map(str::to_owned).collect(),
        })
    }

    /// The best class of these, best first, that can be chosen.
    #[must_use]
    pub fn choose<'a>(&self, classes: &'a [(String, f32)]) -> Option<&'a (String, f32)> {
        classes.iter().find(|(label, _)| self.choices.is_empty() || self.choices.contains(label))
    }
}

/// The beginning of an element.
struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(&'a str, String)>,
}

impl Tag<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }
}

/// The elements of a text that is XML. What is no element is passed over.
fn tags(mut text: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    while let Some(start) = text.find('<') {
        text = &text[start + 1..];
        if let Some(rest) = text.strip_prefix("!--") {
            text = rest.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let end = text.find(|letter: char| letter.is_whitespace() || matches!(letter, '>' | '/')).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let mut attributes = Vec::new();
        while let Some((attribute, after)) = attribute(rest) {
            attributes.push(attribute);
            rest = after;
        }
        if !name.is_empty() {
            tags.push(Tag { name, attributes });
        }
        text = rest;
    }
    tags
}

/// The next attribute of an element, and what is behind it.
fn attribute(text: &str) -> Option<((&str, String), &str)> {
    let text = text.trim_start();
    let (name, rest) = text.split_once('=')?;
    if name.contains(['<', '>', '/']) {
        return None;
    }
    let rest = rest.trim_start();
    let quote = rest.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let (value, rest) = rest[1..].split_once(quote)?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    let value = entities.iter().fold(value.to_owned(), |value, (entity, letter)| value.replace(entity, letter));
    Some(((name.trim(), value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The template "Image Classification" of Label Studio 1.x.
    const TEMPLATE: &str = r#"<View>
  <!-- <Choices name="old" toName="nothing"/> -->
  <Image name="image" value="$image"/>
  <Choices name="choice" toName="image" showInLine="true">
    <Choice value="Adult content"/>
    <Choice value='Weapons &amp; "more"' />
    <Choice value="Violence" background="blue"/>
  </Choices>
</View>"#;

    #[test]
    fn the_template_says_what_is_classified() {
        let labeling = Labeling::parse(TEMPLATE).unwrap();
        let names = (labeling.from_name.as_str(), labeling.to_name.as_str(), labeling.field.as_str());
        assert_eq!(names, ("choice", "image", "image"));
        assert_eq!(labeling.choices, ["Adult content", "Weapons & \"more\"", "Violence"]);
    }

    #[test]
    fn the_best_class_that_can_be_chosen_is_chosen() {
        let labeling = Labeling::parse(TEMPLATE).unwrap();
        let classes = [("tulip".to_owned(), 0.6), ("Violence".to_owned(), 0.3), ("Adult content".to_owned(), 0.1)];
        assert_eq!(labeling.choose(&classes), Some(&classes[1]));
        assert_eq!(labeling.choose(&classes[..1]), None);
    }

    #[test]
    fn other_projects_are_refused() {
        for config in [
            "",
            "<View>",
            "<View><Image name='image' value='$image'/></View>",
            "<View><Text name='text' value='$text'/><Choices name='c' toName='text'><Choice value='a'/></Choices></View>",
            "<Choices name=",
            "<Image name='image' value='fixed.jpg'/><Choices name='c' toName='image'/>",
        ] {
            assert_eq!(Labeling::parse(config), Err(LabelingError), "{config}");
        }
    }
}
