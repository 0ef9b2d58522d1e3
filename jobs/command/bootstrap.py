# SPDX-License-Identifier: Apache-2.0
"""A bootstrap of the mean of Michelson's measurements of the speed of light, from a fixed seed."""
import csv
import random
import statistics

with open('michelson.csv', newline='') as file:
    speeds = [299_000 + int(row['speed']) for row in csv.DictReader(file)]
random.seed(1879)
means = sorted(statistics.fmean(random.choices(speeds, k=len(speeds))) for _ in range(20_000))
low, high = means[500], means[-501]
with open('result.txt', 'w') as file:
    print(f'{len(speeds)} measurements, mean {statistics.fmean(speeds):.1f} km/s', file=file)
    print(f'95 % of the bootstrap means lie between {low:.1f} and {high:.1f} km/s', file=file)
with open('histogram.txt', 'w') as file:
    for tens in range(29983, 29988):
        count = sum(tens * 10 <= mean < tens * 10 + 10 for mean in means)
        print(f'{tens * 10} {"#" * (count // 200)}', file=file)
print(open('result.txt').read(), end='')
