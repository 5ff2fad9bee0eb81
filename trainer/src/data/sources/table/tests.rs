//! Tables as people write them.

use fixtures::words::{damaged, foreign_words};

use super::*;
use crate::data::testing::{picture, write};
use crate::data::{DatasetSource, OpenOptions};

/// Files `1.bmp` to `9.bmp` in `images`, and this table beside it.
fn folder(table: &[u8]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for number in 1..10 {
        write(root.path(), [(format!("images/{number}.bmp").as_str(), picture(number))]);
    }
    write(root.path(), [("labels.csv", table.to_vec())]);
    root
}

fn list(root: &Path, layout: Layout) -> Result<Dataset, DatasetError> {
    DatasetSource::new(layout, root).list_in(&OpenOptions::default())
}

fn read(table: &str) -> Dataset {
    list(folder(table.as_bytes()).path(), Layout::Csv).unwrap()
}

/// The names of the files with their classes and subsets.
fn rows(dataset: &Dataset) -> Vec<(String, &str, Option<Subset>)> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let row =
        |sample: &crate::data::Sample| (name(&sample.path), dataset.labels.get(sample.class).unwrap(), sample.subset);
    dataset.samples.iter().map(row).collect()
}

/// The faults without the folder, which is another in each run.
fn faults(dataset: &Dataset) -> Vec<String> {
    let short = |fault: &BadFile| fault.reason.rsplit_once("labels.csv, ").unwrap().1.to_owned();
    dataset.account.faults().iter().map(short).collect()
}

#[test]
fn a_header_may_be_missing_or_put_columns_in_any_order() {
    let plain = read("images/2.bmp,rose\nimages/1.bmp,\"iris, wild\"\n");
    assert_eq!(rows(&plain), [("2.bmp".into(), "rose", None), ("1.bmp".into(), "iris, wild", None)]);
    let named =
        read("\u{feff}Label;Split;Filename\r\nrose;train;1.bmp\r\niris;val;images\\2.bmp\r\nrose;;./images/3.bmp\r\n");
    let expected =
        [("1.bmp", "rose", Some(Subset::Train)), ("2.bmp", "iris", Some(Subset::Validation)), ("3.bmp", "rose", None)];
    assert_eq!(rows(&named), expected.map(|(name, class, subset)| (name.to_owned(), class, subset)));
}

#[test]
fn headers_that_people_have_are_understood() {
    let cases = [
        "image_id,label\n1,rose\n2,iris\n",
        "id,breed\n1,rose\n2,iris\n",
        "class id,filepaths,labels,card game,data set\n0,images/1.bmp,rose,x,train\n1,images/2.bmp,iris,y,train\n",
        "Width,Height,ClassName,Path\n9,9,rose,images/1.bmp\n9,9,iris,images/2.bmp\n",
        // Neither name is known: the files tell the column.
        "Bild,Klasse\n1.bmp,rose\n2.bmp,iris\n",
        "Klasse;Bild\nrose;1.bmp\niris;2.bmp\n",
        "/another/machine/images/1.bmp\trose\n/another/machine/images/2.bmp\tiris\n",
    ];
    for table in cases {
        let dataset = read(table);
        assert_eq!(dataset.labels.names(), ["iris", "rose"], "{table}");
        assert_eq!(dataset.samples.len(), 2, "{table}");
        assert_eq!(faults(&dataset), [""; 0], "{table}");
    }
}

#[test]
fn numbers_are_in_the_order_of_numbers() {
    assert_eq!(read("1.bmp,10\n2.bmp,9\n3.bmp,0\n").labels.names(), ["0", "9", "10"]);
    assert_eq!(read("1.bmp,10\n2.bmp,9\n3.bmp,x\n").labels.names(), ["10", "9", "x"]);
}

#[test]
fn all_wrong_lines_are_faults_with_the_numbers_that_an_editor_shows() {
    let table = [
        "path,label,split",
        "1.bmp,rose,train",
        "2.bmp,",
        "",
        "x/8.bmp,rose",
        "3.bmp,iris,later",
        "1.bmp,iris",
        "4.bmp,iris",
    ];
    let expected = [
        "line 3: it needs a path and a label, as in `images/1.jpg,rose`",
        "line 5: there is no picture `x/8.bmp`",
        "line 6: `later` is not a subset; use train, val or test",
        "line 7: the image is `rose` on line 2 too; an image has one row, with all of its classes, as in \
         `images/1.jpg,rose|tulip`",
    ];
    for end in ["\n", "\r\n", "\r"] {
        let dataset = read(&(table.join(end) + end));
        assert_eq!((faults(&dataset), dataset.samples.len()), (expected.map(str::to_owned).to_vec(), 2), "{end:?}");
    }
}

#[test]
fn pictures_that_the_table_does_not_name_are_accounted_for() {
    let omissions = read("1.bmp,rose\n2.bmp,iris\n").account.omissions();
    assert_eq!((omissions.len(), omissions[0].reason, omissions[0].count), (1, OmissionReason::NotInTable, 7));
}

#[test]
fn a_table_beside_one_folder_of_images_is_about_them() {
    let root = folder(b"images/2.bmp,b\n./images/1.bmp,a\n");
    let limits = models::preprocess::Limits::default();
    for path in [root.path().to_owned(), root.path().join("labels.csv")] {
        let dataset = list(&path, Layout::Auto).unwrap();
        assert_eq!(dataset.labels.names(), ["a", "b"]);
        let bytes: Vec<_> = dataset.samples.iter().map(|sample| sample.read(&limits).unwrap()).collect();
        assert_eq!(bytes, [picture(2), picture(1)]);
    }
}

#[test]
fn absolute_paths_lead_to_files_wherever_the_table_is() {
    let images = folder(b"");
    let path = |number: usize| images.path().join(format!("images/{number}.bmp")).display().to_string();
    let table = format!("path,label\n{},rose\n{},iris\n", path(1), path(2));
    std::fs::write(images.path().join("labels.csv"), &table).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::write(elsewhere.path().join("labels.csv"), &table).unwrap();
    for path in [images.path().to_owned(), images.path().join("labels.csv"), elsewhere.path().to_owned()] {
        let dataset = list(&path, Layout::Auto).unwrap();
        assert_eq!((dataset.samples.len(), faults(&dataset).len()), (2, 0), "{}", path.display());
    }
}

#[test]
fn a_table_that_is_not_understood_says_what_it_has_and_what_is_wanted() {
    let cases: [(&[u8], &str); 5] = [
        (b"image,healthy,rust,scab\n1.bmp,1,0,9\n2.bmp,0,1,1\n", "make a column of 0 and 1 for each class"),
        (b"file,healthy,damage in %\n1.bmp,yes,9\n2.bmp,no,8\n", "the columns are `file`, `healthy`, `damage in %`"),
        (b"\xff\xfep\0a\0", "line 1: the table is UTF-16"),
        (b"1.bmp,rose\n2.bmp,\xfcbel\n", "line 2: the line is not UTF-8 text"),
        (b"7/77.bmp,rose\n8/88.bmp,iris\n", "line 1: there is no picture `7/77.bmp`"),
    ];
    for (table, expected) in cases {
        let refused = list(folder(table).path(), Layout::Csv).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}, expected {expected}");
    }
    // Without being asked for, such a table is a hint.
    let refused = list(folder(b"7/77.bmp,rose\n8/88.bmp,iris\n").path(), Layout::Auto).unwrap_err().to_string();
    assert!(refused.contains("1 folder(s) of pictures") && refused.contains("no picture `7/77.bmp`"), "{refused}");
}

#[test]
fn damaged_tables_are_refused_in_our_words() {
    let table =
        "path,label,split\nimages/1.bmp,rose,train\nimages/2.bmp,\"iris, wild\",val\nimages/3.bmp,Tulpe \u{e4},test\n";
    for bytes in damaged(table.as_bytes()) {
        let said = match list(folder(&bytes).path(), Layout::Csv) {
            Ok(dataset) => faults(&dataset),
            Err(error) => vec![error.to_string()],
        };
        for message in said {
            assert_eq!(foreign_words(&message), [""; 0], "{}: {message}", bytes.escape_ascii());
        }
    }
}

/// The names of the files with their classes.
fn labels(dataset: &Dataset) -> Vec<(String, Vec<&str>)> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    dataset.samples.iter().map(|sample| (name(&sample.path), dataset.labels_of(sample).collect())).collect()
}

/// One of three images has two classes, and one has none.
fn expected() -> Vec<(String, Vec<&'static str>)> {
    [("1.bmp", vec!["rose", "tulip"]), ("2.bmp", vec![]), ("3.bmp", vec!["rose"])]
        .map(|(name, labels)| (name.to_owned(), labels))
        .to_vec()
}

#[test]
fn several_classes_of_an_image_are_columns_of_bits_or_separated_in_one_column() {
    let tables = [
        ("image,tulip,rose\n1.bmp,1,1\n2.bmp,0,0\n3.bmp,0,1\n", "in a column for each class"),
        ("filename, rose, tulip\n1.bmp, 1.0, True\n2.bmp, 0.0, False\n3.bmp, 1, 0\n", "in a column for each class"),
        ("image,labels\n1.bmp,tulip|rose\n2.bmp,\n3.bmp,rose\n", "several of them with `|` between"),
        ("image,labels\n1.bmp,rose; tulip\n2.bmp,\n3.bmp,rose\n", "several of them with `;` between"),
        ("image_name,tags\n1,tulip rose\n2,\n3,rose\n", "several of them with ` ` between"),
    ];
    for (table, evidence) in tables {
        let dataset = read(table);
        assert_eq!((labels(&dataset), faults(&dataset)), (expected(), vec![]), "{table}");
        assert!(dataset.is_multi_label() && dataset.evidence.ends_with(evidence), "{}", dataset.evidence);
        assert_eq!(dataset.labels.names(), ["rose", "tulip"]);
    }
}

#[test]
fn columns_of_bits_with_one_class_for_each_image_are_classes_that_exclude_each_other() {
    let dataset = read("image,rose,tulip,split\n1.bmp,1,0,train\n2.bmp,0,1,test\n");
    assert!(!dataset.is_multi_label());
    assert_eq!(
        rows(&dataset),
        [("1.bmp".into(), "rose", Some(Subset::Train)), ("2.bmp".into(), "tulip", Some(Subset::Test))]
    );
}

#[test]
fn a_class_that_no_image_has_is_a_class_if_it_has_a_column() {
    let dataset = read("image,rose,tulip,lily\n1.bmp,1,1,0\n2.bmp,0,1,0\n");
    assert_eq!(dataset.labels.names(), ["lily", "rose", "tulip"]);
}

#[test]
fn a_field_that_is_no_bit_is_a_fault_of_its_line() {
    let many: String = (0..SAMPLE).map(|_| "1.bmp,1,1\n").collect();
    let dataset = read(&format!("image,rose,tulip\n{many}2.bmp,1,-1\n"));
    assert_eq!(faults(&dataset), [format!("line {}: the column `tulip` holds `-1`; it must be 0 or 1", SAMPLE + 2)]);
}

#[test]
fn json_says_the_same_as_lists_lines_and_one_object() {
    let files = [
        (
            "labels.json",
            r#"[{"file": "1.bmp", "labels": ["tulip", "rose"]}, {"file": "2.bmp", "labels": []},
            {"file": "3.bmp", "labels": "rose"}]"#,
        ),
        ("labels.json", r#"{"1.bmp": ["rose", "tulip"], "2.bmp": [], "images/3.bmp": ["rose"]}"#),
        (
            "metadata.jsonl",
            "{\"file_name\": \"1.bmp\", \"labels\": [\"rose\", \"tulip\"]}\n\n\
            {\"file_name\": \"2.bmp\", \"labels\": []}\n{\"file_name\": \"3.bmp\", \"labels\": [\"rose\"]}\n",
        ),
        (
            "bits.json",
            r#"[{"image": "1.bmp", "rose": 1, "tulip": true}, {"image": "2.bmp", "rose": 0, "tulip": false},
            {"image": "3.bmp", "rose": 1, "tulip": 0}]"#,
        ),
    ];
    for (name, text) in files {
        let root = folder(b"");
        std::fs::write(root.path().join(name), text).unwrap();
        std::fs::remove_file(root.path().join("labels.csv")).unwrap();
        let dataset = list(&root.path().join(name), Layout::Auto).unwrap();
        assert_eq!(labels(&dataset), expected(), "{text}");
        // Lines of JSON are found in a folder, as Hugging Face's are.
        if name.ends_with("jsonl") {
            assert_eq!(labels(&list(root.path(), Layout::Auto).unwrap()), expected());
        }
    }
}

#[test]
fn json_that_is_not_understood_is_refused_by_line_or_item() {
    let cases = [
        ("a.json", "[{\"file\": \"1.bmp\",\n", "line 2: it is not JSON"),
        ("a.json", "{\"images\": [{\"id\": 1}]}", "it does not say the labels of a picture, as {\"file\""),
        ("a.json", "[1, 2]", "it does not say the labels of a picture"),
        ("a.jsonl", "{\"file\": \"1.bmp\", \"label\": \"rose\"}\nrose\n", "line 2: it is not JSON"),
        ("a.jsonl", "{\"file\": \"1.bmp\", \"label\": {\"a\": 1}}\n", "line 1: it does not say the labels"),
    ];
    for (name, text, expected) in cases {
        let root = folder(b"");
        std::fs::write(root.path().join(name), text).unwrap();
        let refused = list(&root.path().join(name), Layout::Auto).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}, expected {expected}");
    }
    let root = folder(b"");
    std::fs::write(root.path().join("a.json"), r#"[{"file": "1.bmp", "label": "a"}, {"file": "x.bmp", "label": "b"}]"#)
        .unwrap();
    let dataset = list(&root.path().join("a.json"), Layout::Auto).unwrap();
    assert!(dataset.account.faults()[0].reason.ends_with("item 2: there is no picture `x.bmp`"));
}
