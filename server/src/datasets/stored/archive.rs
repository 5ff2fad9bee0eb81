//! A data set as a zip archive of class folders, or, where images have several classes, of images with a table, written from its
//! first byte to its last.
//!
//! Members are not compressed, because images are already: so the length is known before the first image is read, and a
//! server can send the archive while it writes it.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use trainer::data::{DatasetFolder, SnapshotImage};

/// Bytes of a local header without its name, of a central one, of the end, and of the end with 64 bits.
const LOCAL: u64 = 30;
const CENTRAL: u64 = 46;
const END: u64 = 22;
const END_64: u64 = 56 + 20;
/// The field of a central header for an offset of 64 bits.
const OFFSET_64: u64 = 12;
/// The first of January 1980, where the format's time begins.
const DATE: u16 = 1 << 5 | 1;
/// Names are UTF-8.
const FLAGS: u16 = 1 << 11;
/// Of a file that anybody may read, as Unix has it.
const ATTRIBUTES: u32 = 0o100_644 << 16;

/// The images of a data set as members of an archive that is still to be written.
#[derive(Debug, Clone)]
pub struct Archive {
    members: Vec<Member>,
}

#[derive(Debug, Clone)]
struct Member {
    name: String,
    content: Content,
    bytes: u64,
}

#[derive(Debug, Clone)]
enum Content {
    File(PathBuf),
    Table(Vec<u8>),
}

/// A member that is written, as the directory at the end has it.
struct Entry<'a> {
    member: &'a Member,
    crc: u32,
    offset: u64,
}

impl Archive {
    /// The archive of these images, a folder for each class; in folders for the subsets if any image was given to one. Where an
    /// image has several classes or none, all are in one folder, and `labels.csv` beside it has a column for each class.
    ///
    /// # Errors
    /// The operating system's, when a file is not there.
    pub fn new(folder: &DatasetFolder, images: &[SnapshotImage]) -> io::Result<Self> {
        let several = images.iter().any(|image| image.labels().count() != 1);
        let subsets = images.iter().any(|image| image.subset.is_some());
        let mut names = HashSet::new();
        let member = |image: &SnapshotImage| {
            let subset = image.subset.map_or("train", trainer::data::Subset::name);
            let class = match (several, subsets) {
                (true, _) => "images".to_owned(),
                (false, true) => format!("{subset}/{}", image.label),
                (false, false) => image.label.clone(),
            };
            let mut name = format!("{class}/{}", image.name());
            // Where upper and lower case are one, two such names are one file.
            if !names.insert(name.to_lowercase()) {
                name = format!("{class}/{}-{}", &image.sha256.to_string()[..12], image.name());
                names.insert(name.to_lowercase());
            }
            let file = folder.image(&image.sha256);
            let bytes = fs::metadata(&file)?.len();
            Ok(Member { name, content: Content::File(file), bytes })
        };
        let mut members = images.iter().map(member).collect::<io::Result<Vec<Member>>>()?;
        if several {
            let table = table(images, &members).into_bytes();
            let bytes = table.len() as u64;
            members.push(Member { name: "labels.csv".to_owned(), content: Content::Table(table), bytes });
        }
        Ok(Self { members })
    }

    /// How long it will be, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        let mut offset = 0;
        let mut directory = 0;
        for Member { name, bytes, .. } in &self.members {
            directory += CENTRAL + name.len() as u64 + if offset >= u64::from(u32::MAX) { OFFSET_64 } else { 0 };
            offset += LOCAL + name.len() as u64 + bytes;
        }
        offset + directory + END + if self.is_large(offset) { END_64 } else { 0 }
    }

    /// Writes it.
    ///
    /// # Errors
    /// The operating system's, or that an image has changed.
    pub fn write(&self, to: &mut (impl Write + ?Sized)) -> io::Result<()> {
        let mut offset = 0;
        let mut entries = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let bytes = member.read()?;
            let entry = Entry { member, crc: crc32fast::hash(&bytes), offset };
            let mut header = 0x0403_4b50_u32.to_le_bytes().to_vec();
            entry.describe(&mut header, 0);
            header.extend(member.name.bytes());
            to.write_all(&header)?;
            to.write_all(&bytes)?;
            offset += header.len() as u64 + member.bytes;
            entries.push(entry);
        }
        let mut length = 0;
        for entry in &entries {
            let header = entry.central();
            to.write_all(&header)?;
            length += header.len() as u64;
        }
        to.write_all(&self.end(offset, length))
    }

    /// Whether the end needs its form of 64 bits.
    fn is_large(&self, directory_offset: u64) -> bool {
        self.members.len() >= usize::from(u16::MAX) || directory_offset >= u64::from(u32::MAX)
    }

    fn end(&self, offset: u64, length: u64) -> Vec<u8> {
        let (count, mut end) = (self.members.len() as u64, Vec::new());
        if self.is_large(offset) {
            end.extend(0x0606_4b50_u32.to_le_bytes());
            end.extend(44_u64.to_le_bytes());
            end.extend([45, 3, 45, 0]);
            end.extend([0; 8]);
            for value in [count, count, length, offset] {
                end.extend(value.to_le_bytes());
            }
            end.extend(0x0706_4b50_u32.to_le_bytes());
            end.extend([0; 4]);
            end.extend((offset + length).to_le_bytes());
            end.extend(1_u32.to_le_bytes());
        }
        end.extend(0x0605_4b50_u32.to_le_bytes());
        end.extend([0; 4]);
        let count = u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes();
        end.extend([count, count].concat());
        end.extend(clamped(length));
        end.extend(clamped(offset));
        end.extend([0; 2]);
        end
    }
}

impl Member {
    fn read(&self) -> io::Result<Cow<'_, [u8]>> {
        match &self.content {
            Content::Table(bytes) => Ok(Cow::Borrowed(bytes)),
            Content::File(file) => {
                let bytes = fs::read(file)?;
                if bytes.len() as u64 != self.bytes {
                    return Err(io::Error::other(format!("{} has changed meanwhile", file.display())));
                }
                Ok(Cow::Owned(bytes))
            }
        }
    }
}

/// A row for each image, with 1 in the columns of its classes.
fn table(images: &[SnapshotImage], members: &[Member]) -> String {
    let classes: BTreeSet<&str> = images.iter().flat_map(SnapshotImage::labels).collect();
    let subsets = images.iter().any(|image| image.subset.is_some());
    let subset = |cell: &str| if subsets { vec![cell.to_owned()] } else { vec![] };
    let header =
        [vec!["file".to_owned()], subset("split"), classes.iter().map(|class| quoted(class)).collect()].concat();
    let row = |(image, member): (&SnapshotImage, &Member)| {
        let own: BTreeSet<&str> = image.labels().collect();
        let bit = |class: &&str| if own.contains(class) { "1" } else { "0" }.to_owned();
        let given = image.subset.map_or("", trainer::data::Subset::name);
        [vec![quoted(&member.name)], subset(given), classes.iter().map(bit).collect()].concat().join(",")
    };
    let rows = std::iter::once(header.join(",")).chain(images.iter().zip(members).map(row));
    rows.map(|row| row + "\n").collect()
}

/// A cell of a table (RFC 4180).
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', ';', '\t']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() }
}

impl Entry<'_> {
    /// What both headers of a member say, from the version on: its packing, date, checksum and sizes.
    fn describe(&self, header: &mut Vec<u8>, extra: u16) {
        let version: u16 = if extra == 0 { 20 } else { 45 };
        for value in [version, FLAGS, 0, 0, DATE] {
            header.extend(value.to_le_bytes());
        }
        header.extend(self.crc.to_le_bytes());
        header.extend(clamped(self.member.bytes));
        header.extend(clamped(self.member.bytes));
        header.extend((self.member.name.len() as u16).to_le_bytes());
        header.extend(extra.to_le_bytes());
    }

    fn central(&self) -> Vec<u8> {
        let far = self.offset >= u64::from(u32::MAX);
        let mut header = 0x0201_4b50_u32.to_le_bytes().to_vec();
        header.extend([45, 3]);
        self.describe(&mut header, if far { OFFSET_64 as u16 } else { 0 });
        header.extend([0; 6]);
        header.extend(ATTRIBUTES.to_le_bytes());
        header.extend(clamped(self.offset));
        header.extend(self.member.name.bytes());
        if far {
            header.extend([1, 0, 8, 0]);
            header.extend(self.offset.to_le_bytes());
        }
        header
    }
}

/// A field of 32 bits; all ones where the field of 64 bits counts.
fn clamped(value: u64) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use trainer::data::{Checksum, DatasetSource, Layout, Subset};
    use zip::ZipArchive;

    use super::*;

    /// A folder with these images, whose content is their label and name.
    fn folder(images: &[(&str, &str, Option<Subset>)]) -> (tempfile::TempDir, DatasetFolder, Vec<SnapshotImage>) {
        let root = tempfile::tempdir().unwrap();
        let folder = DatasetFolder::new(root.path());
        let image = |(number, (label, name, subset)): (usize, &(&str, &str, Option<Subset>))| {
            let bytes = format!("{label}/{name}/{number}").into_bytes();
            let sha256 = Checksum::of(&bytes);
            fs::create_dir_all(folder.image(&sha256).parent().unwrap()).unwrap();
            fs::write(folder.image(&sha256), bytes).unwrap();
            SnapshotImage { sha256, label: (*label).to_owned(), file_name: Some((*name).to_owned()), subset: *subset }
        };
        let images = images.iter().enumerate().map(image).collect();
        (root, folder, images)
    }

    /// The members as another program reads them.
    fn members(zip: &[u8]) -> Vec<(String, String)> {
        let mut archive = ZipArchive::new(io::Cursor::new(zip)).unwrap();
        let count = archive.len();
        let member = |index| {
            let mut member = archive.by_index(index).unwrap();
            let mut text = String::new();
            member.read_to_string(&mut text).unwrap();
            (member.name().unwrap().into_owned(), text)
        };
        (0..count).map(member).collect()
    }

    #[test]
    fn an_archive_is_as_long_as_it_says_and_read_by_another_program() {
        let (_root, folder, images) =
            folder(&[("rose", "a.jpg", None), ("rose", "A.JPG", None), ("\u{e9}", "b.jpg", None)]);
        let archive = Archive::new(&folder, &images).unwrap();
        let mut zip = Vec::new();
        archive.write(&mut zip).unwrap();
        assert_eq!(zip.len() as u64, archive.length());
        let second = format!("rose/{}-A.JPG", &images[1].sha256.to_string()[..12]);
        let expected = [("rose/a.jpg", "rose/a.jpg/0"), (&second, "rose/A.JPG/1"), ("\u{e9}/b.jpg", "\u{e9}/b.jpg/2")];
        assert_eq!(members(&zip), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[test]
    fn subsets_are_folders_that_the_trainer_understands() {
        let (root, folder, images) = folder(&[
            ("rose", "a.jpg", None),
            ("tulip", "b.jpg", Some(Subset::Train)),
            ("rose", "c.jpg", Some(Subset::Test)),
            ("tulip", "d.jpg", Some(Subset::Test)),
        ]);
        let path = root.path().join("flowers.zip");
        let mut file = fs::File::create(&path).unwrap();
        Archive::new(&folder, &images).unwrap().write(&mut file).unwrap();
        let dataset = DatasetSource::new(Layout::Auto, path).list().unwrap();
        assert_eq!(
            (dataset.layout, dataset.labels.names()),
            (Layout::SubsetFolders, &["rose".to_owned(), "tulip".to_owned()][..])
        );
        assert_eq!(dataset.samples.iter().filter(|sample| sample.subset == Some(Subset::Test)).count(), 2);
    }

    #[test]
    fn images_of_several_classes_are_in_one_folder_with_a_table_that_the_trainer_understands() {
        let (root, folder, images) = folder(&[
            ("rose/tulip", "a.jpg", Some(Subset::Test)),
            ("rose", "b,c.jpg", None),
            ("/", "d.jpg", None),
            ("lily, white/tulip", "a.jpg", None),
        ]);
        let path = root.path().join("flowers.zip");
        let mut file = fs::File::create(&path).unwrap();
        let archive = Archive::new(&folder, &images).unwrap();
        archive.write(&mut file).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), archive.length());
        let dataset = DatasetSource::new(Layout::Auto, path).list().unwrap();
        assert_eq!((dataset.layout, dataset.is_multi_label()), (Layout::Csv, true));
        assert_eq!(dataset.labels.names(), ["lily, white", "rose", "tulip"]);
        let found: Vec<(Vec<&str>, Option<Subset>)> =
            dataset.samples.iter().map(|sample| (dataset.labels_of(sample).collect(), sample.subset)).collect();
        let expected = [
            (vec!["rose", "tulip"], Some(Subset::Test)),
            (vec!["rose"], None),
            (vec![], None),
            (vec!["lily, white", "tulip"], None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn more_members_than_fit_into_16_bits_are_all_there() {
        let (_root, folder, images) = folder(&[("rose", "a.jpg", None)]);
        let count = 70_000;
        let image = |number| SnapshotImage { file_name: Some(format!("{number}.jpg")), ..images[0].clone() };
        let archive = Archive::new(&folder, &(0..count).map(image).collect::<Vec<_>>()).unwrap();
        let mut zip = Vec::new();
        archive.write(&mut zip).unwrap();
        assert_eq!(zip.len() as u64, archive.length());
        let read = ZipArchive::new(io::Cursor::new(zip)).unwrap();
        assert_eq!((read.len(), read.name_for_index(count - 1).unwrap().unwrap()), (count, "rose/69999.jpg".into()));
    }
}
