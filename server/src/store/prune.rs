//! Removing old versions.

use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::lock::WriteLock;
use super::publish::STAGING;
use super::settings::ModelSettings;
use super::{ModelName, ModelStore, StoreError};

/// How the folder of a version is called while it is removed.
const REMOVED: &str = ".removed-";
/// How old an unfinished version is when its writer is taken for dead.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);

impl ModelStore {
    /// Removes all but the newest versions of a model, and returns the numbers of those that it removed. The newest version
    /// that can be read stays in any case, and so do the live one, its shadow, and those in `serving`. Unfinished versions of dead
    /// processes go too.
    ///
    /// # Errors
    /// [`StoreError::Io`] when a folder cannot be removed; readers see each version whole or not at all.
    pub fn prune(&self, name: &ModelName, keep: NonZeroU32, serving: &[u32]) -> Result<Vec<u32>, StoreError> {
        let folder = self.root.join(name.as_str());
        let failed = StoreError::io(&folder);
        if self.versions(name)?.is_empty() {
            return Ok(vec![]);
        }
        let _lock = WriteLock::take(&folder).map_err(failed)?;
        remove_abandoned(&folder)?;
        let versions = self.versions(name)?;
        let old = &versions[..versions.len().saturating_sub(keep.get() as usize)];
        if old.is_empty() {
            return Ok(vec![]);
        }
        let good = versions.iter().rev().copied().find(|version| self.read(name, *version).is_ok());
        let ModelSettings { live, shadow, .. } = self.settings(name)?;
        let used = [good, live, shadow.map(|shadow| shadow.version)];
        let mut removed = Vec::new();
        for &version in old.iter().filter(|version| !serving.contains(version) && !used.contains(&Some(**version))) {
            self.remove(name, version)?;
            removed.push(version);
        }
        Ok(removed)
    }

    /// Deletes a version. Its number is not given again.
    ///
    /// # Errors
    /// [`StoreError::UnknownVersion`]; [`StoreError::Live`] for the version that is to answer, unless it may go: then the newest
    /// of the others answers; [`StoreError::BuiltIn`].
    pub fn delete(&self, name: &ModelName, version: u32, guard: DeleteGuard) -> Result<(), StoreError> {
        self.resolve(name, Some(version))?;
        self.refuse_built_in(name)?;
        let folder = self.root.join(name.as_str());
        let _lock = WriteLock::take(&folder).map_err(StoreError::io(&folder))?;
        let versions = self.versions(name)?;
        if guard == DeleteGuard::KeepLive && self.settings(name)?.live_of(&versions) == Some(version) {
            return Err(StoreError::Live { name: name.clone(), version });
        }
        // Before the version goes: whoever reads in between finds a version for each number that is named.
        self.change_locked(name, |settings| {
            settings.last_deleted = settings.last_deleted.max(version);
            settings.versions.remove(&version);
            settings.live = settings.live.filter(|live| *live != version);
            settings.shadow = settings.shadow.filter(|shadow| shadow.version != version);
        })?;
        self.remove(name, version)
    }

    /// Readers see the version whole or not at all.
    fn remove(&self, name: &ModelName, version: u32) -> Result<(), StoreError> {
        let gone = self.root.join(name.as_str()).join(format!("{REMOVED}{version}"));
        fs::rename(self.folder(name, version), &gone).map_err(StoreError::io(&gone))?;
        fs::remove_dir_all(&gone).map_err(StoreError::io(&gone))
    }
}

/// Whether the version that is to answer may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeleteGuard {
    /// The live version is refused.
    KeepLive,
    /// Any version goes: somebody has said so.
    AnyVersion,
}

/// Removes what killed processes left: versions that were being removed, and unfinished ones after a day.
fn remove_abandoned(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(StoreError::io(folder))?.flatten() {
        let name = entry.file_name();
        let old = || {
            let changed = entry.metadata().and_then(|file| file.modified()).ok();
            let age = changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
            age.is_some_and(|age| age > ABANDONED)
        };
        let begins = |prefix: &str| name.to_str().is_some_and(|name| name.starts_with(prefix));
        if begins(REMOVED) || (begins(STAGING) && old()) {
            fs::remove_dir_all(entry.path()).map_err(StoreError::io(&entry.path()))?;
        }
    }
    Ok(())
}
