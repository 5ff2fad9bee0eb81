//! Archives, good and made to harm.

use std::io::Write;

use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;
use fixtures::words::{damaged, foreign_words};
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

use super::*;
use crate::data::testing::picture;
use crate::data::{BadFilePolicy, Dataset, DatasetSource, Layout, OmissionReason, Subset};

/// Two classes of three pictures in three parts, below one folder as archives have it.
fn files() -> Vec<(String, Vec<u8>)> {
    let parts = ["train", "val", "test"].into_iter().enumerate();
    let name = |part: &str, class: &str, number: usize| format!("flowers/{part}/{class}/{number}.bmp");
    let file = |(at, part)| [("iris", 2 * at), ("rose", 2 * at + 1)].map(|(c, n)| (name(part, c, n), picture(n)));
    let litter = ["__MACOSX/flowers/train/._0.bmp", "flowers/.DS_Store"].map(|name| (name.to_owned(), vec![1]));
    parts.flat_map(file).chain(litter).collect()
}

fn zipped(files: &[(String, Vec<u8>)], options: SimpleFileOptions) -> Vec<u8> {
    let mut zip = ZipWriter::new(std::io::Cursor::new(vec![]));
    for (name, bytes) in files {
        zip.start_file(name.as_str(), options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A tar archive; the header is written by hand because the library refuses names that lead out.
fn tarred(files: &[(String, Vec<u8>)], kind: ::tar::EntryType) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(vec![]);
    for (name, bytes) in files {
        let mut header = ::tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(if kind == ::tar::EntryType::Regular { bytes.len() as u64 } else { 0 });
        header.set_mode(0o644);
        header.set_cksum();
        archive.append(&header, if kind == ::tar::EntryType::Regular { &bytes[..] } else { &[] }).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(vec![], Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

const STORED: SimpleFileOptions = SimpleFileOptions::DEFAULT.compression_method(::zip::CompressionMethod::Stored);
const DEFLATED: SimpleFileOptions = SimpleFileOptions::DEFAULT.compression_method(::zip::CompressionMethod::Deflated);

/// Opens an archive of these bytes, whatever its name says.
fn open(bytes: &[u8], limits: ArchiveLimits) -> (TempDir, Result<Dataset, DatasetError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    std::fs::write(&path, bytes).unwrap();
    let archives = folder.path().join("archives");
    let dataset = DatasetSource::new(Layout::Auto, path).list_in(&OpenOptions {
        archives: Some(&archives),
        limits,
        ..OpenOptions::default()
    });
    (folder, dataset)
}

#[test]
fn every_kind_of_archive_gives_the_images_of_the_folder() {
    let tar = tarred(&files(), ::tar::EntryType::Regular);
    for bytes in [zipped(&files(), STORED), zipped(&files(), DEFLATED), gzipped(&tar), tar] {
        let (_folder, dataset) = open(&bytes, ArchiveLimits::default());
        let dataset = dataset.unwrap();
        assert_eq!(dataset.labels.names(), ["iris", "rose"]);
        let parts = [Subset::Train, Subset::Train, Subset::Validation, Subset::Validation, Subset::Test, Subset::Test];
        for (number, (sample, part)) in dataset.samples.iter().zip(parts).enumerate() {
            assert_eq!((sample.class, sample.subset), (number % 2, Some(part)));
            assert_eq!(sample.read(&models::preprocess::Limits::default()).unwrap(), picture(number));
        }
        let litter: Vec<_> =
            dataset.account.omissions().iter().map(|omission| (omission.reason, omission.count)).collect();
        assert_eq!((dataset.samples.len(), litter), (6, vec![(OmissionReason::Litter, 2)]));
        assert!(dataset.samples[0].path.ends_with("archive/flowers/train/iris/0.bmp"), "{:?}", dataset.samples[0].path);
    }
}

#[test]
fn a_compressed_tar_is_uncompressed_once_and_only_where_the_caller_says() {
    let bytes = gzipped(&tarred(&files(), ::tar::EntryType::Regular));
    let (folder, dataset) = open(&bytes, ArchiveLimits::default());
    dataset.unwrap();
    let kept: Vec<_> = std::fs::read_dir(folder.path().join("archives")).unwrap().map(Result::unwrap).collect();
    assert_eq!(kept.len(), 1);
    let before = kept[0].metadata().unwrap().modified().unwrap();
    let source = DatasetSource::new(Layout::Auto, folder.path().join("archive"));
    let archives = folder.path().join("archives");
    source.list_in(&OpenOptions { archives: Some(&archives), ..OpenOptions::default() }).unwrap();
    assert_eq!(kept[0].metadata().unwrap().modified().unwrap(), before);
    let refused = source.list().unwrap_err().to_string();
    assert!(refused.contains("uncompressed into a folder"), "{refused}");
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../a/1.bmp", "a/../../1.bmp", "/a/1.bmp", "C:/a/1.bmp", "\\a\\1.bmp"] {
        let file = [(name.to_owned(), picture(0))];
        for bytes in [zipped(&file, STORED), tarred(&file, ::tar::EntryType::Regular)] {
            let refused = open(&bytes, ArchiveLimits::default()).1.unwrap_err().to_string();
            assert!(refused.contains(name) && refused.contains("leads out"), "{refused}");
        }
    }
}

#[test]
fn links_are_refused() {
    let file = [("a/1.bmp".to_owned(), vec![])];
    for kind in [::tar::EntryType::Symlink, ::tar::EntryType::Link, ::tar::EntryType::Fifo] {
        let refused = open(&tarred(&file, kind), ArchiveLimits::default()).1.unwrap_err().to_string();
        assert!(refused.contains("`a/1.bmp` is a link"), "{refused}");
    }
    let mut zip = ZipWriter::new(std::io::Cursor::new(vec![]));
    zip.add_symlink("a/1.bmp", "elsewhere", STORED).unwrap();
    let refused = open(&zip.finish().unwrap().into_inner(), ArchiveLimits::default()).1.unwrap_err().to_string();
    assert!(refused.contains("`a/1.bmp` is a link"), "{refused}");
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    // 65 MiB of zeros: a thousandth of it packed.
    let zeros = [("a/1.bmp".to_owned(), vec![0; 65 << 20])];
    for bytes in [zipped(&zeros, DEFLATED), gzipped(&tarred(&zeros, ::tar::EntryType::Regular))] {
        let (folder, refused) = open(&bytes, ArchiveLimits::default());
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains(&format!("more than {} bytes", 64 << 20)), "{refused}");
        let left = std::fs::read_dir(folder.path().join("archives")).map_or(0, Iterator::count);
        assert_eq!(left, 0);
    }
    let limits = ArchiveLimits { members: 3, ..ArchiveLimits::default() };
    let refused = open(&zipped(&files(), STORED), limits).1.unwrap_err().to_string();
    assert!(refused.contains("more than 3 members"), "{refused}");
}

#[test]
fn a_member_that_lies_about_itself_is_a_bad_file() {
    let files: Vec<_> = (0..2).map(|n| (format!("{}/{n}.bmp", ["a", "b"][n]), picture(n))).collect();
    let mut bytes = zipped(&files, DEFLATED);
    // A byte of the first member's packed data, which begins after its header of 30 bytes and its name.
    bytes[30 + 7 + 40] ^= 0xff;
    let (_folder, dataset) = open(&bytes, ArchiveLimits::default());
    let samples = dataset.unwrap().samples;
    let limits = models::preprocess::Limits::default();
    let refused = samples[0].read(&limits).unwrap_err().to_string();
    assert!(refused.contains("archive/a/0.bmp"), "{refused}");
    assert_eq!(samples[1].read(&limits).unwrap(), picture(1));
}

#[test]
fn what_is_cut_off_is_refused() {
    for bytes in [zipped(&files(), STORED), gzipped(&tarred(&files(), ::tar::EntryType::Regular))] {
        let error = open(&bytes[..bytes.len() / 2], ArchiveLimits::default()).1.unwrap_err();
        assert!(matches!(error, DatasetError::Archive { .. } | DatasetError::Read { .. }), "{error}");
    }
}

/// The error of an archive, or the errors of its images.
fn errors(bytes: &[u8]) -> Vec<String> {
    let (_folder, dataset) = open(bytes, ArchiveLimits::default());
    match dataset {
        Err(error) => vec![error.to_string()],
        Ok(dataset) => {
            let limits = models::preprocess::Limits::default();
            let failed = dataset.samples.iter().filter_map(|sample| sample.decode(&limits).err());
            failed.map(|error| error.to_string()).collect()
        }
    }
}

#[test]
fn damaged_archives_are_refused_in_our_words() {
    let tar = tarred(&files(), ::tar::EntryType::Regular);
    for (kind, bytes) in [
        ("stored", zipped(&files(), STORED)),
        ("deflated", zipped(&files(), DEFLATED)),
        ("gzip", gzipped(&tar)),
        ("tar", tar),
    ] {
        let mut refused = 0;
        for bytes in damaged(&bytes) {
            let errors = errors(&bytes);
            refused += usize::from(!errors.is_empty());
            for error in errors {
                assert_eq!(foreign_words(&error), [""; 0], "{kind}: {error}");
            }
        }
        assert!(refused > 30, "only {refused} damaged archives are refused: {kind}");
    }
}

#[test]
fn sixty_thousand_real_files_are_found_in_a_compressed_tar() {
    let Some(path) = fixtures::real_data("cifar10/cifar10_folders_jpeg_q75.tar.gz") else { return };
    let cache = tempfile::tempdir().unwrap();
    let dataset = DatasetSource::new(Layout::Auto, path)
        .open_in(&OpenOptions { archives: Some(cache.path()), ..OpenOptions::default() }, BadFilePolicy::Refuse)
        .unwrap();
    assert_eq!((dataset.labels.len(), dataset.samples.len()), (10, 60_000));
    let tests = dataset.samples.iter().filter(|sample| sample.subset == Some(Subset::Test));
    assert_eq!(tests.count(), 10_000);
    let last = dataset.samples[59_999].decode(&models::preprocess::Limits::default()).unwrap();
    assert_eq!((last.width(), last.height()), (32, 32));
}
