//! Which data sets are published, where, and how their files are known.

use super::Proof;

/// A data set that is published under a name.
#[derive(Debug, Clone, Copy)]
pub struct PublishedDataset {
    /// What users call it.
    pub name: &'static str,
    /// Its files; the first holds the images.
    pub files: &'static [RemoteFile<'static>],
}

/// A file of a published data set.
#[derive(Debug, Clone, Copy)]
pub struct RemoteFile<'a> {
    /// Where it is published.
    pub url: &'a str,
    /// How large it is, in bytes; of some only about.
    pub bytes: u64,
    /// How it is known to be the right one.
    pub proof: Proof<'a>,
    /// Whether the data set is of use without it.
    pub presence: Presence,
}

/// Whether a data set is of use without a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Without it there is no data set.
    Required,
    /// Without it there is less of the data set.
    Optional,
}

/// Every published data set.
pub const PUBLISHED: [PublishedDataset; 2] = [OXFORD17, CIFAR10];

/// Nilsback and Zisserman 2006. Its page has no checksums: the SHA-256 of the images is the one that intel/dffml
/// (`examples/flower17/dataset.sh`) has. Of the splits there is none; the reader wants every image once in each of them.
const OXFORD17: PublishedDataset = PublishedDataset {
    name: "oxford17",
    files: &[
        RemoteFile {
            url: "https://www.robots.ox.ac.uk/~vgg/data/flowers/17/17flowers.tgz",
            bytes: 60_000_000,
            proof: Proof::Sha256("fe38a60f8b4a95e657551247d3e7d799a3fafcdbc595be504b12839967823d70"),
            presence: Presence::Required,
        },
        RemoteFile {
            url: "https://www.robots.ox.ac.uk/~vgg/data/flowers/17/datasplits.mat",
            bytes: 20_000,
            proof: Proof::Begins(b"MATLAB 5.0 MAT-file"),
            presence: Presence::Optional,
        },
    ],
};

/// Krizhevsky 2009, the binary version. Size and SHA-256 are those in tensorflow/datasets
/// (`url_checksums/cifar10.txt`); the author's page has the file's MD5 alone.
const CIFAR10: PublishedDataset = PublishedDataset {
    name: "cifar10",
    files: &[RemoteFile {
        url: "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        bytes: 170_052_171,
        proof: Proof::Sha256("c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),
        presence: Presence::Required,
    }],
};

impl RemoteFile<'_> {
    /// The file's own name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(self.url)
    }

    /// Its address: the published one, or the same path at an endpoint (a scheme and a host, and perhaps a path before it).
    #[must_use]
    pub fn address(&self, endpoint: Option<&str>) -> String {
        let path = self.url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        match endpoint {
            Some(endpoint) => format!("{}/{path}", endpoint.trim_end_matches('/')),
            None => self.url.to_owned(),
        }
    }
}
