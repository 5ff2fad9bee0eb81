//! Names of variables, the same for all layouts: `layer/variable`.

/// The name of a variable in a group of groups: of the layer's name, which may be there twice, and its own. `path` is the
/// groups from the outermost.
///
/// TensorFlow's output number at its end is dropped. The published files put the layer's name before the variable's, and call
/// the variables `W` and `b` with Theano's number of the copy.
pub(super) fn classic(path: &[String], dataset: &str) -> String {
    let Some(layer) = path.last() else { return dataset.to_owned() };
    let variable = match dataset.rsplit_once(':') {
        Some((variable, number)) if number.bytes().all(|digit| digit.is_ascii_digit()) => variable,
        _ => dataset,
    };
    let own = variable.strip_prefix(layer.as_str()).and_then(|rest| rest.strip_prefix('_')).unwrap_or(variable);
    let number = |letter| own.strip_prefix(letter).is_some_and(|rest| rest.is_empty() || is_numbered(rest));
    let variable = match own {
        _ if number("W") => "kernel",
        _ if number("b") => "bias",
        _ => own,
    };
    format!("{layer}/{variable}")
}

fn is_numbered(rest: &str) -> bool {
    rest.strip_prefix('_')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

/// The name of a variable in Keras 3's layout, which numbers them: the kernel and the bias of convolutions and dense
/// layers, which are recognized by the name of their group. Other layers' variables keep their numbers.
pub(super) fn modern(path: &[String], layer: &str, number: &str) -> String {
    // The last group is `vars`, the layer's is before it: `conv2d`, `conv2d_1`, ….
    let group = path.len().checked_sub(2).map_or("", |at| path[at].as_str());
    let class = group.trim_end_matches(|letter: char| letter.is_ascii_digit()).trim_end_matches('_');
    let variable = match (class, number) {
        ("conv2d" | "dense", "0") => "kernel",
        ("conv2d" | "dense", "1") => "bias",
        _ => number,
    };
    format!("{layer}/{variable}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_gives_the_same_names() {
        let path = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(classic(&path("block1_conv1"), "block1_conv1_W_1:0"), "block1_conv1/kernel");
        assert_eq!(classic(&path("fc1"), "fc1_b_1:0"), "fc1/bias");
        assert_eq!(classic(&path("fc1/fc1"), "kernel:0"), "fc1/kernel");
        assert_eq!(classic(&path("vgg16/block1_conv1"), "bias"), "block1_conv1/bias");
        assert_eq!(classic(&path("bn/bn"), "beta:0"), "bn/beta");
        assert_eq!(classic(&[], "kernel:0"), "kernel:0");
        assert_eq!(modern(&path("layers/conv2d_12/vars"), "block4_conv1", "0"), "block4_conv1/kernel");
        assert_eq!(modern(&path("layers/dense/vars"), "fc1", "1"), "fc1/bias");
        assert_eq!(modern(&path("layers/batch_normalization/vars"), "bn", "0"), "bn/0");
    }
}
