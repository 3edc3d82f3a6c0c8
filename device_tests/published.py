"""Published weights files, below ``weights`` in the folder that ``CLEARPORT_SHARED`` names, by network."""

PUBLISHED = {
    "bsrn": "bsrn/bsrn_x4.pth",
    "espcn": "espcn/espcn_x3.pb",
    "fmen": "fmen/fmen_x4.pth",
    "fsrcnn": "fsrcnn/fsrcnn_x3.pb",
    "iat": "iat/iat_lol_v1.pth",
    "imdn": "imdn/imdn_x4.pth",
    "rfdn": "rfdn/rfdn_x4.pth",
    "rlfn": "rlfn/rlfn_ntire_x4.pth",
    "safmn": "safmn/safmn_x4.pth",
    "safmnpp": "safmn/light_safmnpp_x4.pth",
    "sci": "sci/medium.pt",
    "span": "span/span_ch28_x4.pth",
    "spantiny": "span/spantiny_x4.pth",
}
