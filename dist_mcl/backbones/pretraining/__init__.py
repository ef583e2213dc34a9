"""How the weights of the backbone `small` are made: `python -m dist_mcl.backbones.pretraining`."""
