//! Why an archive is refused.

use thiserror::Error;

/// An archive is refused.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// A damaged archive, or a file of another kind. The reader's reason is not told, because it quotes the file's bytes.
    #[error("the archive is damaged, or it is no zip, tar or compressed tar; repack it as .zip, .tar or .tar.gz")]
    Damaged,
    /// A name that would lead out of a folder.
    #[error("member `{0}` has a name that leads out of the archive; pack the images under plain relative names")]
    Path(String),
    /// A name that is no UTF-8.
    #[error("the name \"{0}\" of a member is not UTF-8; rename it, or pack the archive again with UTF-8 names")]
    Name(String),
    /// A link, or something else that holds no bytes of its own.
    #[error("member `{0}` is a link or a device, not a file; pack the files themselves, as `tar --dereference` does")]
    Link(String),
    /// A zip member that is encrypted or compressed otherwise than usual.
    #[error("member `{member}` is {packing}; graft reads only stored and deflated members, so repack the archive")]
    Packing {
        /// The member's name.
        member: String,
        /// How it is packed.
        packing: String,
    },
    /// More members than the limit.
    #[error("it has more than {0} members; split it, or unpack it and name the folder")]
    Members(u64),
    /// More bytes than the limits allow.
    #[error("its members unpack to more than {0} bytes, more than the limit; unpack it and name the folder")]
    Bytes(u64),
    /// A compressed tar and nowhere to uncompress it.
    #[error(
        "a compressed tar must be uncompressed into a folder, and none was given; unpack it, or pack it as .zip or .tar"
    )]
    Cache,
}
