"""Folders of published sets: what is on disk, the scale, and the pairs that training and judging should find."""

from __future__ import annotations

PUBLISHED: dict[str, tuple[tuple[str, ...], int, set[tuple[str, str]], set[tuple[str, str]]]] = {
    "LOL": (
        ("our485/low/1.png", "our485/high/1.png", "eval15/low/22.png", "eval15/high/22.png"),
        1,
        {("our485/low/1.png", "our485/high/1.png")},
        {("eval15/low/22.png", "eval15/high/22.png")},
    ),
    "LOL-v2": (
        tuple(
            f"{kind}/{half}/{side}/{name}{half[0]}1.png"
            for kind, names in (("Real_captured", ("low0", "normal0")), ("Synthetic", ("r0", "r0")))
            for half in ("Train", "Test")
            for side, name in zip(("Low", "Normal"), names, strict=True)
        ),
        1,
        {
            ("Real_captured/Train/Low/low0T1.png", "Real_captured/Train/Normal/normal0T1.png"),
            ("Synthetic/Train/Low/r0T1.png", "Synthetic/Train/Normal/r0T1.png"),
        },
        {
            ("Real_captured/Test/Low/low0T1.png", "Real_captured/Test/Normal/normal0T1.png"),
            ("Synthetic/Test/Low/r0T1.png", "Synthetic/Test/Normal/r0T1.png"),
        },
    ),
    "DIV2K": (
        tuple(
            f"DIV2K_{half}_{rest}"
            for half, n in (("train", "0001"), ("valid", "0801"))
            for rest in (
                f"HR/{n}.png",
                f"LR_bicubic/X2/{n}x2.png",
                f"LR_bicubic/X3/{n}x3.png",
                f"LR_unknown/X3/{n}x3.png",
            )
        ),
        3,
        {("DIV2K_train_LR_bicubic/X3/0001x3.png", "DIV2K_train_HR/0001.png")},
        {("DIV2K_valid_LR_bicubic/X3/0801x3.png", "DIV2K_valid_HR/0801.png")},
    ),
    "EDSR's Set5": (
        ("HR/baby.png", "LR_bicubic/X2/babyx2.png", "LR_bicubic/X3/babyx3.png"),
        3,
        {("LR_bicubic/X3/babyx3.png", "HR/baby.png")},
        {("LR_bicubic/X3/babyx3.png", "HR/baby.png")},
    ),
    "BasicSR's Set5": (
        ("original/baby.png", "GTmod12/baby.png", "LRbicx3/baby.png", "LRbicx4/baby.png"),
        4,
        {("LRbicx4/baby.png", "GTmod12/baby.png")},
        {("LRbicx4/baby.png", "GTmod12/baby.png")},
    ),
    "SelfExSR": (
        tuple(f"image_SRF_{n}/img_001_SRF_{n}_{side}.png" for n in (2, 3) for side in ("LR", "HR", "bicubic")),
        3,
        {("image_SRF_3/img_001_SRF_3_LR.png", "image_SRF_3/img_001_SRF_3_HR.png")},
        {("image_SRF_3/img_001_SRF_3_LR.png", "image_SRF_3/img_001_SRF_3_HR.png")},
    ),
    "RealSR": (
        tuple(
            f"Canon/{half}/{n}/Canon_{half[:2]}1_{side}.png"
            for half in ("Train", "Test")
            for n in (3, 4)
            for side in ("HR", f"LR{n}")
        ),
        4,
        {("Canon/Train/4/Canon_Tr1_LR4.png", "Canon/Train/4/Canon_Tr1_HR.png")},
        {("Canon/Test/4/Canon_Te1_LR4.png", "Canon/Test/4/Canon_Te1_HR.png")},
    ),
    "Rain1400": (
        ("rainy_image/1_1.jpg.png", "rainy_image/1_2.jpg.png", "ground_truth/1.png"),
        1,
        {("rainy_image/1_1.jpg.png", "ground_truth/1.png"), ("rainy_image/1_2.jpg.png", "ground_truth/1.png")},
        {("rainy_image/1_1.jpg.png", "ground_truth/1.png"), ("rainy_image/1_2.jpg.png", "ground_truth/1.png")},
    ),
    "Rain100L": (
        ("rainy/rain-001.png", "norain-001.png"),
        1,
        {("rainy/rain-001.png", "norain-001.png")},
        {("rainy/rain-001.png", "norain-001.png")},
    ),
    "Rain100H": (
        ("rain/X2/norain-001x2.png", "norain/norain-001.png"),
        1,
        {("rain/X2/norain-001x2.png", "norain/norain-001.png")},
        {("rain/X2/norain-001x2.png", "norain/norain-001.png")},
    ),
    "RESIDE": (
        ("hazy/1_1_0.90179.png", "hazy/1_2_0.97842.png", "clear/1.png", "trans/1_1.png"),
        1,
        {("hazy/1_1_0.90179.png", "clear/1.png"), ("hazy/1_2_0.97842.png", "clear/1.png")},
        {("hazy/1_1_0.90179.png", "clear/1.png"), ("hazy/1_2_0.97842.png", "clear/1.png")},
    ),
    "O-HAZE": (
        ("hazy/01_outdoor_hazy.png", "GT/01_outdoor_GT.png"),
        1,
        {("hazy/01_outdoor_hazy.png", "GT/01_outdoor_GT.png")},
        {("hazy/01_outdoor_hazy.png", "GT/01_outdoor_GT.png")},
    ),
    "SIDD": (
        ("Data/0001_S6/0001_NOISY_SRGB_010.PNG.png", "Data/0001_S6/0001_GT_SRGB_010.PNG.png"),
        1,
        {("Data/0001_S6/0001_NOISY_SRGB_010.PNG.png", "Data/0001_S6/0001_GT_SRGB_010.PNG.png")},
        {("Data/0001_S6/0001_NOISY_SRGB_010.PNG.png", "Data/0001_S6/0001_GT_SRGB_010.PNG.png")},
    ),
    "GoPro": (
        tuple(
            f"{half}/GOPR{n}/{side}/000{n}.png"
            for half, n in (("train", 1), ("test", 2))
            for side in ("blur", "blur_gamma", "sharp")
        ),
        1,
        {("train/GOPR1/blur/0001.png", "train/GOPR1/sharp/0001.png")},
        {("test/GOPR2/blur/0002.png", "test/GOPR2/sharp/0002.png")},
    ),
    "scenes": (
        ("input/a/1.png", "input/b/1.png", "target/a/1.png", "target/b/1.png"),
        1,
        {("input/a/1.png", "target/a/1.png"), ("input/b/1.png", "target/b/1.png")},
        {("input/a/1.png", "target/a/1.png"), ("input/b/1.png", "target/b/1.png")},
    ),
    "halves below sides": (
        ("lq/train/1.png", "gt/train/1.png", "lq/val/2.png", "gt/val/2.png"),
        1,
        {("lq/train/1.png", "gt/train/1.png")},
        {("lq/val/2.png", "gt/val/2.png")},
    ),
    "suffixes": (
        ("low/7.png", "low/8.png", "high/7.png", "high/8.png"),
        1,
        {("low/7.png", "high/7.png"), ("low/8.png", "high/8.png")},
        {("low/7.png", "high/7.png"), ("low/8.png", "high/8.png")},
    ),
}
