//! What operating systems and programs leave in folders.

/// A name that is never a part of a data set.
pub(super) struct Litter {
    /// The name, in any case.
    pub(super) name: &'static str,
    /// Who leaves it there.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares the documentation's table with this one"))]
    pub(super) origin: &'static str,
}

const fn litter(name: &'static str, origin: &'static str) -> Litter {
    Litter { name, origin }
}

/// Every such name. A folder of this name is left out with all that is in it.
pub(super) const LITTER: [Litter; 26] = [
    litter("@eaDir", "Synology's indexer"),
    litter("#recycle", "Synology's recycle bin"),
    litter("@Recycle", "QNAP's recycle bin"),
    litter("$RECYCLE.BIN", "Windows' recycle bin"),
    litter("System Volume Information", "Windows"),
    litter("Thumbs.db", "Windows' thumbnails"),
    litter("ehthumbs.db", "Windows Media Center's thumbnails"),
    litter("desktop.ini", "Windows' folder settings"),
    litter("__MACOSX", "macOS's archives"),
    litter("_DS_Store", "macOS's folder settings, renamed by an archive"),
    litter("Icon\r", "macOS's folder icons"),
    litter(".DS_Store", "macOS's folder settings"),
    litter(".Spotlight-V100", "macOS's index"),
    litter(".fseventsd", "macOS's journal"),
    litter(".Trashes", "macOS's recycle bin"),
    litter(".ipynb_checkpoints", "Jupyter"),
    litter(".thumbnails", "Android's and desktops' thumbnails"),
    litter(".directory", "KDE's folder settings"),
    litter("lost+found", "Linux's file-system check"),
    litter("__pycache__", "Python"),
    litter("_thumbs", "photo galleries' thumbnails"),
    litter("thumbnails.db", "photo galleries' thumbnails"),
    litter("Picasa.ini", "Picasa"),
    litter("ZbThumbnail.info", "ZoomBrowser's thumbnails"),
    litter("digikam4.db", "digiKam"),
    litter("lightroom.lrcat", "Lightroom"),
];

/// Endings of files that are backups or not complete.
pub(super) const UNFINISHED: [&str; 9] =
    ["bak", "old", "orig", "tmp", "temp", "part", "partial", "crdownload", "download"];

/// Whether an entry of this name is litter. `._NAME` is what macOS leaves beside NAME on other file systems.
pub(super) fn is_litter(name: &str) -> bool {
    name.starts_with("._") || LITTER.iter().any(|litter| name.eq_ignore_ascii_case(litter.name))
}

/// Whether a file of this name is a backup or not complete.
pub(super) fn is_unfinished(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    name.ends_with('~') || UNFINISHED.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_has_the_same_table() {
        let page = include_str!("../../../../docs/data.md");
        for Litter { name, origin } in LITTER {
            let row = format!("| `{}` | {origin} |", name.escape_debug());
            assert!(page.contains(&row), "docs/data.md lacks {row}");
        }
    }

    #[test]
    fn litter_is_told_in_any_case_and_backups_by_their_endings() {
        assert!(["THUMBS.DB", "@eadir", "._rose.jpg", "lost+found"].into_iter().all(is_litter));
        assert!(!["thumbs", "eaDir", "lost", "_rose.jpg"].into_iter().any(is_litter));
        assert!(["rose.jpg.bak", "rose.jpg~", "rose.PART"].into_iter().all(is_unfinished));
        assert!(!["bak.jpg", "part", "rose.jpg"].into_iter().any(is_unfinished));
    }
}
