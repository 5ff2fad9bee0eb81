//! The store without a server around it.

use std::fs;
use std::path::PathBuf;

use models::preprocess::{Limits, test_card};
use tempfile::TempDir;
use trainer::data::{Checksum, DatasetSource, Layout};

use super::*;

struct Fixture {
    _folder: TempDir,
    data: DataDir,
    store: DatasetStore,
    flowers: DatasetName,
}

const LIMITS: DatasetLimits = DatasetLimits {
    datasets: 2,
    images: 5,
    bytes: 1 << 20,
    upload_bytes: 1 << 20,
    uploads: 2,
    upload_expiry: Duration::from_secs(3600),
};

impl Fixture {
    /// An empty data set.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::new(folder.path());
        let store = DatasetStore::new(data.clone(), LIMITS);
        let flowers: DatasetName = "flowers".parse().unwrap();
        store.create(&flowers).await.unwrap();
        Self { _folder: folder, data, store, flowers }
    }

    /// The same data folder as another process has it.
    fn again(&self) -> DatasetStore {
        DatasetStore::new(self.data.clone(), LIMITS)
    }

    async fn add(&self, label: &str, seeds: std::ops::Range<u64>) -> Vec<Addition> {
        let uploads = seeds.map(|seed| upload(label, test_card(seed, 8, 8))).collect();
        let added = self.store.add(&self.flowers, uploads, Limits::default()).await.unwrap();
        added.into_iter().map(Result::unwrap).collect()
    }

    async fn labels(&self, store: &DatasetStore) -> Vec<String> {
        let filter = ImageFilter { label: None, after: 0, limit: 100 };
        store.images(&self.flowers, &filter).await.unwrap().data.into_iter().map(|image| image.label).collect()
    }

    /// The files of images, whoever names them.
    fn files(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.store.folder(&self.flowers).path().join("images"));
        let files = folders.into_iter().flatten().flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }
}

fn upload(label: &str, bytes: Vec<u8>) -> ImageUpload {
    ImageUpload {
        label: label.parse().unwrap(),
        file_name: Some("a.png".to_owned()),
        subset: None,
        bytes: bytes.into(),
    }
}

fn id(seed: u64) -> Checksum {
    Checksum::of(&test_card(seed, 8, 8))
}

#[tokio::test]
async fn an_image_is_in_a_data_set_once_and_keeps_its_label() {
    let of = Fixture::new().await;
    assert_eq!(of.add("rose", 0..2).await, [Addition::Added(id(0)), Addition::Added(id(1))]);
    assert_eq!(of.add("rose", 1..3).await, [Addition::Present(id(1)), Addition::Added(id(2))]);
    let otherwise = Addition::LabeledOtherwise { sha256: id(0), label: "rose".to_owned() };
    assert_eq!(of.add("tulip", 0..1).await, [otherwise]);
    let twice = vec![upload("tulip", test_card(3, 8, 8)), upload("rose", test_card(3, 8, 8))];
    let twice = of.store.add(&of.flowers, twice, Limits::default()).await.unwrap();
    let labeled = Addition::LabeledOtherwise { sha256: id(3), label: "tulip".to_owned() };
    assert_eq!(twice, [Ok(Addition::Added(id(3))), Ok(labeled)]);
    let detail = of.again().get(&of.flowers).await.unwrap();
    let classes: Vec<_> = detail.classes.iter().map(|class| (class.label.as_str(), class.images)).collect();
    assert_eq!((detail.record.images, classes), (4, vec![("rose", 3), ("tulip", 1)]));
    let bytes: u64 = (0..4).map(|seed| test_card(seed, 8, 8).len() as u64).sum();
    assert_eq!(detail.record.bytes, bytes);
}

#[tokio::test]
async fn what_is_no_image_is_refused_and_the_rest_is_taken() {
    let of = Fixture::new().await;
    let cut = test_card(1, 8, 8)[..60].to_vec();
    let uploads = vec![upload("rose", b"text".to_vec()), upload("rose", test_card(0, 8, 8)), upload("rose", cut)];
    let added = of.store.add(&of.flowers, uploads, Limits::default()).await.unwrap();
    assert!(matches!(added[..], [Err(_), Ok(Addition::Added(_)), Err(_)]), "{added:?}");
    assert_eq!((of.labels(&of.store).await.len(), of.files().len()), (1, 1));
}

#[tokio::test]
async fn limits_refuse_all_of_a_request_and_leave_no_bytes() {
    let of = Fixture::new().await;
    of.add("rose", 0..4).await;
    let uploads = (3..7).map(|seed| upload("rose", test_card(seed, 8, 8))).collect();
    let error = of.store.add(&of.flowers, uploads, Limits::default()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there would be more than 5 images in the data set, the limit of --max-dataset-images; nothing was added"
    );
    assert_eq!((of.labels(&of.store).await.len(), of.files().len()), (4, 4));
    of.store.create(&"second".parse().unwrap()).await.unwrap();
    let error = of.store.create(&"third".parse().unwrap()).await.unwrap_err();
    assert!(matches!(error, DatasetStoreError::Full { flag: "--max-datasets", .. }), "{error}");
}

#[tokio::test]
async fn a_snapshot_stays_as_it_was_whatever_becomes_of_the_data_set() {
    let of = Fixture::new().await;
    of.add("rose", 0..2).await;
    of.add("tulip", 2..4).await;
    let first = of.store.snapshot(&of.flowers).await.unwrap();
    assert_eq!((first.number, first.images), (1, 4));
    assert_eq!(of.again().snapshot(&of.flowers).await.unwrap(), first, "nothing has changed");
    let tulip = "tulip".parse().unwrap();
    of.store.edit(&of.flowers, &[id(0)], &ImageEdit { label: Some(&tulip), subset: None }).await.unwrap();
    of.store.remove(&of.flowers, &[id(1)]).await.unwrap();
    of.store.remove(&of.flowers, &[id(2)]).await.unwrap();
    let second = of.store.snapshot(&of.flowers).await.unwrap();
    assert_eq!((second.number, second.images), (2, 2));
    assert_eq!(of.store.find_snapshot(&of.flowers, 1).await.unwrap(), first);
    let error = of.store.find_snapshot(&of.flowers, 3).await.unwrap_err().to_string();
    assert_eq!(error, "the data set `flowers` has no snapshot 3; it has 1 to 2");
    let dataset = of.store.folder(&of.flowers).source(1).list().unwrap();
    let mut labels: Vec<(Checksum, usize)> = dataset
        .samples
        .iter()
        .map(|sample| (Checksum::of(&sample.read(&Limits::default()).unwrap()), sample.class))
        .collect();
    labels.sort();
    let mut expected = vec![(id(0), 0), (id(1), 0), (id(2), 1), (id(3), 1)];
    expected.sort();
    assert_eq!(labels, expected, "with the bytes of the images that were removed");
    // Back again, it is the image that it was.
    assert_eq!(of.add("rose", 1..2).await, [Addition::Added(id(1))]);
    assert_eq!(of.labels(&of.store).await, ["tulip", "rose", "tulip"], "in the order in which they came first");
}

#[tokio::test]
async fn bytes_that_no_snapshot_has_go_with_their_image() {
    let of = Fixture::new().await;
    of.add("rose", 0..2).await;
    of.store.thumbnail(&of.flowers, id(0), Limits::default()).await.unwrap();
    of.store.remove(&of.flowers, &[id(0)]).await.unwrap();
    assert_eq!(of.files(), [of.store.folder(&of.flowers).image(&id(1))]);
    let thumbnail = of.store.thumbnail(&of.flowers, id(0), Limits::default()).await.unwrap_err();
    assert!(matches!(thumbnail, DatasetStoreError::UnknownImage { .. }), "{thumbnail}");
}

#[tokio::test]
async fn pages_follow_each_other_while_images_come_and_go() {
    let of = Fixture::new().await;
    of.add("rose", 0..2).await;
    of.add("tulip", 2..5).await;
    let page = async |label: Option<&'static str>, after| {
        let page = of.store.images(&of.flowers, &ImageFilter { label, after, limit: 2 }).await.unwrap();
        (page.data.iter().map(|image| (image.sha256, image.seq)).collect::<Vec<_>>(), page.has_more)
    };
    let (first, more) = page(None, 0).await;
    assert_eq!((first.iter().map(|image| image.0).collect::<Vec<_>>(), more), (vec![id(0), id(1)], true));
    of.store.remove(&of.flowers, &[id(1)]).await.unwrap();
    let (second, more) = page(None, first[1].1).await;
    assert_eq!((second.iter().map(|image| image.0).collect::<Vec<_>>(), more), (vec![id(2), id(3)], true));
    let (last, more) = page(None, second[1].1).await;
    assert_eq!((last.iter().map(|image| image.0).collect::<Vec<_>>(), more), (vec![id(4)], false));
    let (roses, more) = page(Some("rose"), 0).await;
    assert_eq!((roses.len(), more), (1, false));
}

#[tokio::test]
async fn a_deleted_data_set_is_gone_with_its_files_and_its_name_is_free() {
    let of = Fixture::new().await;
    of.add("rose", 0..2).await;
    of.store.snapshot(&of.flowers).await.unwrap();
    of.store.delete(&of.flowers).await.unwrap();
    let error = of.store.get(&of.flowers).await.unwrap_err().to_string();
    assert_eq!(error, "there is no stored data set `flowers`; there is none yet");
    assert_eq!(fs::read_dir(of.data.datasets_dir()).unwrap().count(), 0);
    of.store.create(&of.flowers).await.unwrap();
    assert_eq!(of.labels(&of.store).await.len(), 0);
    let error = of.store.create(&of.flowers).await.unwrap_err();
    assert!(matches!(error, DatasetStoreError::Exists(_)), "{error}");
}

#[tokio::test]
async fn a_deletion_that_was_killed_is_finished_by_whoever_comes_next() {
    // Killed when it was decided and nothing was done, and killed when the folder was gone and the rows were not.
    for folder_gone in [false, true] {
        let of = Fixture::new().await;
        of.add("rose", 0..2).await;
        let pool = of.store.pool().await.unwrap();
        sqlx::query("UPDATE datasets SET deleted = 1").execute(pool).await.unwrap();
        if folder_gone {
            let gone = of.data.datasets_dir().join(format!("{DELETED}x"));
            fs::rename(of.store.folder(&of.flowers).path(), gone).unwrap();
        }
        let next = of.again();
        assert_eq!(next.list().await.unwrap(), []);
        next.create(&of.flowers).await.unwrap();
        assert_eq!(of.labels(&next).await.len(), 0);
        let left: Vec<_> =
            fs::read_dir(of.data.datasets_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["flowers"], "folder gone: {folder_gone}");
    }
}

#[tokio::test]
async fn images_of_a_killed_request_are_taken_when_it_is_repeated() {
    let of = Fixture::new().await;
    // Killed behind the files and before the rows, and killed within a file.
    let folder = of.store.folder(&of.flowers);
    content::put(&folder, &test_card(0, 8, 8)).unwrap();
    let cut = folder.image(&id(1));
    fs::create_dir_all(cut.parent().unwrap()).unwrap();
    fs::write(&cut, b"half").unwrap();
    assert_eq!(of.labels(&of.store).await.len(), 0);
    assert_eq!(of.add("rose", 0..2).await, [Addition::Added(id(0)), Addition::Added(id(1))]);
    assert_eq!(fs::read(cut).unwrap(), test_card(1, 8, 8));
}

#[tokio::test]
async fn requests_at_once_add_each_image_once() {
    let of = Fixture::new().await;
    let (a, b) = (of.again(), of.again());
    let uploads = || (0..5).map(|seed| upload("rose", test_card(seed, 8, 8))).collect();
    let (first, second) = tokio::join!(
        a.add(&of.flowers, uploads(), Limits::default()),
        b.add(&of.flowers, uploads(), Limits::default())
    );
    let added = [first.unwrap(), second.unwrap()].concat();
    let count = |wanted: fn(&Addition) -> bool| added.iter().flatten().filter(|addition| wanted(addition)).count();
    assert_eq!(count(|addition| matches!(addition, Addition::Added(_))), 5);
    assert_eq!(count(|addition| matches!(addition, Addition::Present(_))), 5);
    assert_eq!(of.store.get(&of.flowers).await.unwrap().record.images, 5);
}

#[tokio::test]
async fn an_import_appears_all_at_once_and_says_what_was_understood() {
    let of = Fixture::new().await;
    let root = tempfile::tempdir().unwrap();
    for (path, bytes) in [
        ("rose/a.png", test_card(0, 8, 8)),
        ("rose/b.png", test_card(1, 8, 8)),
        ("tulip/c.png", test_card(2, 8, 8)),
        ("tulip/broken.png", test_card(3, 8, 8)[..60].to_vec()),
        ("tulip/notes.txt", b"text".to_vec()),
    ] {
        fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        fs::write(root.path().join(path), bytes).unwrap();
    }
    of.add("tulip", 1..2).await;
    let dataset = DatasetSource::new(Layout::Auto, root.path()).list().unwrap();
    let import = of.store.begin_import(&of.flowers).await.unwrap();
    let options = ImportOptions { limits: Limits::default(), threads: std::num::NonZeroUsize::MIN };
    let files = import.read(&dataset, &options, &mut trainer::events::Unobserved).unwrap();
    assert_eq!(of.labels(&of.again()).await.len(), 1, "nothing shows yet");
    let report = of.store.finish_import(&import, files).await.unwrap();
    assert_eq!((report.added, report.present, report.refused), (2, 0, 2));
    assert!(report.refusals[0].contains("broken.png: the png is truncated"), "{:?}", report.refusals);
    assert!(report.refusals[1].ends_with("b.png: the image is in the data set with the label `tulip`"));
    assert_eq!(report.understood.layout, Layout::ClassFolders);
    assert_eq!(report.understood.omissions.len(), 1, "notes.txt");
    // The data set was deleted and made again while an import read: it belongs to the old one.
    let files = import.read(&dataset, &options, &mut trainer::events::Unobserved).unwrap();
    of.store.delete(&of.flowers).await.unwrap();
    of.store.create(&of.flowers).await.unwrap();
    of.add("rose", 0..1).await;
    let error = of.store.finish_import(&import, files).await.unwrap_err();
    assert!(matches!(error, DatasetStoreError::Unknown { .. }), "{error}");
    assert_eq!(of.labels(&of.store).await.len(), 1);
    assert_eq!(of.files(), [of.store.folder(&of.flowers).image(&id(0))], "the new one keeps its image");
    // And one that is gone when its images are written does not come back as a folder.
    let import = of.store.begin_import(&of.flowers).await.unwrap();
    of.store.delete(&of.flowers).await.unwrap();
    let error = import.read(&dataset, &options, &mut trainer::events::Unobserved).err().unwrap();
    assert!(error.to_string().contains("flowers/.lock: No such file"), "{error}");
    assert!(!of.store.folder(&of.flowers).path().exists());
}
