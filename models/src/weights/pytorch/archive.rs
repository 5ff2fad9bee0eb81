//! What `torch.save` writes since PyTorch 1.6: a zip archive.
//!
//! All members are in one folder, whose name is of no account: `data.pkl`, `data/KEY` for each storage, `byteorder`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::{PyTorchError, state_dict, tensors};
use crate::budget::Budget;
use crate::params::Params;
use crate::pickle::{ByteReader, Heap, load};
use crate::weights::archive::Archive;

/// Reads the state dict of an archive.
///
/// # Errors
/// [`PyTorchError`] for a damaged archive, one of TorchScript, or one that holds something else than a state dict.
pub(in crate::weights) fn read_archive(bytes: &[u8]) -> Result<Params, PyTorchError> {
    let mut budget = Budget::new(bytes.len());
    let mut archive = Archive::open(bytes)?;
    let folder = folder(&archive)?;
    check_byte_order(&mut archive, &folder, &mut budget)?;
    let pickle = archive.member(&format!("{folder}data.pkl"), &mut budget)?;
    let mut heap = Heap::default();
    let root = load(&mut ByteReader::new(&pickle), &mut heap, &mut budget)?;
    let weights = tensors::weights(state_dict::find(&heap, root)?)?;
    let mut storages = BTreeMap::<&str, Cow<'_, [u8]>>::new();
    for key in tensors::storage_keys(&weights) {
        storages.insert(key, archive.member(&format!("{folder}data/{key}"), &mut budget)?);
    }
    tensors::read(&weights, &storages, &mut budget)
}

/// The folder of all members, with its slash. A network in TorchScript, which has its own code with it, is refused: the
/// names in its pickle are those of the code.
fn folder(archive: &Archive<'_>) -> Result<String, PyTorchError> {
    let folder = archive.names().find_map(|name| {
        let folder = name.strip_suffix("data.pkl")?;
        (folder.find('/').is_none_or(|slash| slash + 1 == folder.len())).then(|| folder.to_owned())
    });
    let Some(folder) = folder else { return Err(PyTorchError::NoPickle) };
    let scripted = |name: &str| {
        name.strip_prefix(&folder).is_some_and(|name| name == "constants.pkl" || name.starts_with("code/"))
    };
    if archive.names().any(scripted) {
        return Err(PyTorchError::TorchScript);
    }
    Ok(folder)
}

/// Archives before PyTorch 2.1 do not say; what wrote them was little-endian.
fn check_byte_order(archive: &mut Archive<'_>, folder: &str, budget: &mut Budget) -> Result<(), PyTorchError> {
    let name = format!("{folder}byteorder");
    if archive.names().any(|member| member == name) && &*archive.member(&name, budget)? != b"little" {
        return Err(PyTorchError::ByteOrder);
    }
    Ok(())
}
