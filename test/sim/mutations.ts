/** A fault that is put into the code of vs-tools when a simulation asks for it, to see that it is found. */
export interface Mutation {
  name: string;
  saga: 'move' | 'create' | 'remove';
  file: string;
  from: string | RegExp;
  to: string;
}

export const mutations: Mutation[] = [
];
