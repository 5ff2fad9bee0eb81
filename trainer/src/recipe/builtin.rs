//! The recipes that are checked in.

/// A recipe that is compiled into graft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BuiltinRecipe {
    /// The name of its file, without the ending.
    pub name: &'static str,
    /// The recipe's TOML text.
    pub text: &'static str,
}

/// All built-in recipes.
pub const BUILTIN: [BuiltinRecipe; 9] = [
    BuiltinRecipe {
        name: "tflearn-vgg16-oxflower17",
        text: include_str!("../../recipes/tflearn-vgg16-oxflower17.toml"),
    },
    BuiltinRecipe { name: "vgg16-oxflower17", text: include_str!("../../recipes/vgg16-oxflower17.toml") },
    BuiltinRecipe { name: "tflearn-resnet-cifar10", text: include_str!("../../recipes/tflearn-resnet-cifar10.toml") },
    BuiltinRecipe { name: "he2015-cifar10", text: include_str!("../../recipes/he2015-cifar10.toml") },
    BuiltinRecipe { name: "he2016-preact-cifar10", text: include_str!("../../recipes/he2016-preact-cifar10.toml") },
    BuiltinRecipe { name: "vgg2014-imagenet", text: include_str!("../../recipes/vgg2014-imagenet.toml") },
    BuiltinRecipe { name: "he2015-imagenet", text: include_str!("../../recipes/he2015-imagenet.toml") },
    BuiltinRecipe { name: "starter", text: include_str!("../../recipes/starter.toml") },
    BuiltinRecipe { name: "starter-continued", text: include_str!("../../recipes/starter-continued.toml") },
];

/// The built-in recipe of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static BuiltinRecipe> {
    BUILTIN.iter().find(|named| named.name == name)
}
