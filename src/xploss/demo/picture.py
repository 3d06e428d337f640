"""One picture: the photograph, its mask, where a loss pulls, and what each loss learnt."""
