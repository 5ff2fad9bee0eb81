//! Where data sets are published. Fetching is the caller's business: this crate knows no HTTP.

/// A data set that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// What it is called.
    pub name: &'static str,
    /// The archive, as [`Source::Auto`](super::Source::Auto) opens it.
    pub url: &'static str,
    /// The MD5 of the archive that its publisher states, in lower-case hexadecimal; `None` where none is stated.
    pub md5: Option<&'static str>,
    /// Files to be put beside it.
    pub beside: &'static [&'static str],
    /// Where the terms of use are.
    pub home: &'static str,
}

/// The Oxford 17 Category Flowers, 60 MB.
pub const OXFORD17: Published = Published {
    name: "oxford17",
    url: "https://www.robots.ox.ac.uk/~vgg/data/flowers/17/17flowers.tgz",
    md5: None,
    beside: &["https://www.robots.ox.ac.uk/~vgg/data/flowers/17/datasplits.mat"],
    home: "https://www.robots.ox.ac.uk/~vgg/data/flowers/17/",
};

/// CIFAR-10, binary version, 162 MB; the MD5 is on its page.
pub const CIFAR10: Published = Published {
    name: "cifar10",
    url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    md5: Some("c32a1d4ab5d03f1284b67883e8d87530"),
    beside: &[],
    home: "https://www.cs.toronto.edu/~kriz/cifar.html",
};
