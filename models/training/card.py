"""The card that training writes beside the weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from clearport.disk.files import digest
from clearport.models.training.judge import card_key
from clearport.models.training.options import identity

if TYPE_CHECKING:
    from clearport.models.training.run import Run


def card_of(run: Run) -> dict[str, Any]:
    """The card of a run's best weights so far: data, recipe, and measured quality."""
    options, state, data = run.options, run.state, run.data
    best = state.best_psnr_db
    return {
        "network": run.spec.name,
        "scale": run.scale,
        "data": {
            "folders": [folder.name for folder in options.data],
            "layouts": list(data.layouts),
            "crops_from": len(data.crops.pool),
            "exclusion_lists": {path.name: digest(path) for path in options.exclude},
            "left_out": data.left_out,
            "found": list(data.found),
        },
        "held_back": [group.partition("/")[2] for group in data.held_back],
        "training": {
            **identity(options, run.scale),
            "shrink": list(options.shrink),
            "start": None if options.start is None else options.start.name,
            "start_took": None if run.start is None else str(run.start),
            "steps_done": state.step,
            "minutes_taken": round(state.elapsed_s / 60.0, 1),
        },
        "quality": {
            "validation": {
                card_key(run.spec): round(best, 3) if best > -math.inf else None,
                "pictures": len(data.validation),
                "from": options.validation_data.name if options.validation_data else "held back",
            }
        },
    }
